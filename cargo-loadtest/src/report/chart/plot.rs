//! Lines in panels above one another, with a common horizontal axis: what every chart here is made of.
//!
//! The main type is [`Plot`]. The plotter has no fonts, so nothing is laid out by the size of text: the
//! margins are fixed, labels are short and made here, and legends are left to HTML, where any text wraps.
//! Colours are written as the keys of [`STYLES`]; the page's style sheet gives each of them its light and
//! dark shade and its dash ([`palette_css`]).

use std::fmt::Write as _;

use loadtest_core::units::{format_count, format_millis};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::LegendItem;

/// The picture is drawn at twice its size, because the plotter knows whole units only.
const SCALE: u32 = 2;
const WIDTH: u32 = 760 * SCALE;
const LEFT: u32 = 72 * SCALE;
const RIGHT: u32 = 18 * SCALE;
const CAPTION: u32 = 26 * SCALE;
const FOOT: u32 = 32 * SCALE;
const GAP: u32 = 12 * SCALE;
/// Font size by the plotter's measure, which divides by 1.24.
const FONT: f64 = 11.0 * SCALE as f64 * 1.24;
/// At most this many markers tell lines apart without hiding them.
const MARKERS: usize = 14;

const TEXT: RGBColor = RGBColor(0x2a, 0x33, 0x42);
const MUTED: RGBColor = RGBColor(0x5b, 0x66, 0x76);
const GRID: RGBColor = RGBColor(0xe2, 0xe7, 0xee);
const AXIS: RGBColor = RGBColor(0x9a, 0xa5, 0xb5);

/// How a line looks. The first seven colours of Okabe and Ito (2008), darkened or lightened for contrast.
struct Style {
    light: RGBColor,
    dark: &'static str,
    /// In units of the picture.
    dash: &'static str,
    marker: Marker,
}

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Triangle,
    Square,
    Diamond,
    Ring,
    None,
}

const STYLES: &[Style] = &[
    Style { light: RGBColor(0x00, 0x66, 0xb0), dark: "#56b4f0", dash: "", marker: Marker::Circle },
    Style { light: RGBColor(0xc2, 0x4e, 0x00), dark: "#ff9c4a", dash: "14 8", marker: Marker::Triangle },
    Style { light: RGBColor(0x00, 0x7d, 0x5b), dark: "#33cfa0", dash: "4 7", marker: Marker::Square },
    Style { light: RGBColor(0xa6, 0x46, 0x88), dark: "#ee9fd0", dash: "18 6 4 6", marker: Marker::Diamond },
    Style { light: RGBColor(0x86, 0x68, 0x00), dark: "#e6cf52", dash: "9 5", marker: Marker::Ring },
    Style { light: RGBColor(0x4b, 0x55, 0x9e), dark: "#a9b4ff", dash: "24 8", marker: Marker::Square },
    Style { light: RGBColor(0x6b, 0x72, 0x81), dark: "#b4bccb", dash: "2 6", marker: Marker::None },
];

/// The style for what was planned or for the baseline: present, but behind the rest.
pub(super) const REFERENCE: usize = 1;

/// How many lines can be told apart.
pub(super) const MAX_LINES: usize = STYLES.len();

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its name in the legend.
    pub label: String,
    /// Its look.
    pub style: usize,
    /// Whether a value holds until the next one, instead of moving towards it.
    pub step: bool,
    /// Ascending by x; `None` is a gap.
    pub points: Vec<(f64, Option<f64>)>,
}

/// What the numbers on an axis stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Seconds since the start.
    Seconds,
    /// Milliseconds, linear or by powers of ten, whichever shows more.
    Latency,
    /// Milliseconds by powers of ten.
    LogLatency,
    /// A number of things.
    Count,
    /// Per second.
    Rate,
    /// 0 to 1.
    Share,
}

/// Lines that share a vertical axis.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// What its vertical axis shows.
    pub caption: &'static str,
    /// Height of the plotted area.
    pub height: u32,
    /// What its numbers are.
    pub y: Quantity,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Panels above one another.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    /// What the horizontal axis shows.
    pub x_caption: &'static str,
    /// What its numbers are.
    pub x: Quantity,
    /// Where it begins and ends.
    pub x_range: (f64, f64),
    /// From top to bottom.
    pub panels: Vec<Panel>,
    /// The most points of a line.
    pub max_points: usize,
}

/// A scale: which values stand where, and which of them have a label.
struct Scale {
    log: bool,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Scale {
    /// Where a value stands, on the plotter's linear axis.
    fn at(&self, value: f64) -> f64 {
        if self.log { value.max(self.low).log10() } else { value }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.at(self.low)..self.at(self.high)
    }
}

impl Plot {
    /// The size of the picture, and what is between `<svg>` and `</svg>`.
    pub(super) fn draw(&self) -> anyhow::Result<((u32, u32), String)> {
        let plotted: u32 = self.panels.iter().map(|panel| CAPTION + panel.height * SCALE + GAP).sum();
        let size = (WIDTH, plotted + FOOT);
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            let mut top = 0;
            let last = self.panels.len().saturating_sub(1);
            for (index, panel) in self.panels.iter().enumerate() {
                let height = CAPTION + panel.height * SCALE + GAP;
                self.draw_panel(&root, panel, top, index == last)
                    .map_err(|error| anyhow::anyhow!("a chart could not be drawn: {error}"))?;
                top += height;
            }
            root.present().map_err(|error| anyhow::anyhow!("a chart could not be drawn: {error}"))?;
        }
        Ok((size, body(&svg)))
    }

    /// The legend over all panels.
    pub(super) fn legend(&self) -> Vec<LegendItem> {
        let mut items: Vec<LegendItem> = Vec::new();
        for line in self.panels.iter().flat_map(|panel| &panel.lines) {
            if !items.iter().any(|item| item.label == line.label && item.style == line.style) {
                items.push(LegendItem {
                    label: line.label.clone(),
                    style: line.style,
                    swatch: swatch(line.style),
                });
            }
        }
        items
    }

    fn draw_panel<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        panel: &Panel,
        top: u32,
        last: bool,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let x = scale(self.x, self.x_range.0, self.x_range.1);
        let values = || panel.lines.iter().flat_map(|line| &line.points).filter_map(|(_, y)| *y);
        let y = scale(panel.y, values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
        let (left, right) = (LEFT as i32, (WIDTH - RIGHT) as i32);
        let (upper, lower) = ((top + CAPTION) as i32, (top + CAPTION + panel.height * SCALE) as i32);
        let across = |value: f64| position(x.at(value), &x.range(), left, right);
        let up = |value: f64| position(y.at(value), &y.range(), lower, upper);

        let log = if y.log { " (log scale)" } else { "" };
        let caption = format!("{}{log}", panel.caption);
        root.draw(&Text::new(caption, (0, top as i32 + 6), label(&TEXT, HPos::Left, VPos::Top)))?;
        for tick in &y.ticks {
            let at = up(*tick);
            root.draw(&PathElement::new(vec![(left, at), (right, at)], GRID.stroke_width(SCALE)))?;
            let text = tick_label(*tick, panel.y);
            root.draw(&Text::new(text, (left - 14, at), label(&MUTED, HPos::Right, VPos::Center)))?;
        }
        for tick in &x.ticks {
            let at = across(*tick);
            root.draw(&PathElement::new(vec![(at, lower), (at, lower + 10)], AXIS.stroke_width(SCALE)))?;
            if last {
                let text = tick_label(*tick, self.x);
                root.draw(&Text::new(text, (at, lower + 18), label(&MUTED, HPos::Center, VPos::Top)))?;
            }
        }
        root.draw(&PathElement::new(vec![(left, lower), (right, lower)], AXIS.stroke_width(SCALE)))?;
        if last {
            let at = ((left + right) / 2, lower + 50);
            root.draw(&Text::new(self.x_caption, at, label(&TEXT, HPos::Center, VPos::Top)))?;
        }
        for line in &panel.lines {
            self.draw_line(root, line, &across, &up)?;
        }
        Ok(())
    }

    fn draw_line<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        line: &Line,
        across: &dyn Fn(f64) -> i32,
        up: &dyn Fn(f64) -> i32,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let style = &STYLES[line.style % STYLES.len()];
        let points = thin(&line.points, self.max_points);
        let marked = points.len().div_ceil(MARKERS).max(1);
        // Many points close together are a blot if they are drawn as wide as a few.
        let width = if points.len() > 150 { SCALE + 1 } else { 2 * SCALE };
        let mut seen = 0;
        for segment in points.split(|(_, y)| y.is_none()) {
            let mut path: Vec<(i32, i32)> = Vec::with_capacity(segment.len());
            for (x, y) in segment.iter().filter_map(|(x, y)| y.map(|y| (*x, y))) {
                let at = (across(x), up(y));
                if line.step
                    && let Some(before) = path.last().copied()
                {
                    path.push((at.0, before.1));
                }
                path.push(at);
                // A point between two gaps has no line: only its marker shows it.
                if (seen % marked == marked / 2 && points.len() > 1) || segment.len() == 1 {
                    marker(root, style, at)?;
                }
                seen += 1;
            }
            if path.len() > 1 {
                root.draw(&PathElement::new(path, style.light.stroke_width(width)))?;
            }
        }
        Ok(())
    }
}

fn label(color: &'static RGBColor, across: HPos, up: VPos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", FONT).into_font()).color(color).pos(Pos::new(across, up))
}

fn marker<DB: DrawingBackend>(
    root: &DrawingArea<DB, Shift>,
    style: &Style,
    (x, y): (i32, i32),
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    let r = 4 * SCALE as i32;
    let fill = style.light.filled();
    match style.marker {
        Marker::Circle => root.draw(&Circle::new((x, y), r - 1, fill)),
        Marker::Triangle => {
            root.draw(&Polygon::new(vec![(x - r, y + r - 2), (x, y - r), (x + r, y + r - 2)], fill))
        }
        Marker::Square => root.draw(&Rectangle::new([(x - r + 2, y - r + 2), (x + r - 2, y + r - 2)], fill)),
        Marker::Diamond => {
            root.draw(&Polygon::new(vec![(x - r, y), (x, y - r), (x + r, y), (x, y + r)], fill))
        }
        Marker::Ring => root.draw(&Circle::new((x, y), r - 2, style.light.stroke_width(SCALE))),
        Marker::None => Ok(()),
    }
}

/// The plotter's picture without the element around it, which the page writes with title and description.
fn body(svg: &str) -> String {
    let inner = svg.split_once('>').map_or("", |(_, inner)| inner);
    let inner = inner.rsplit_once("</svg>").map_or(inner, |(inner, _)| inner);
    // What every element says is left to the style sheet, which halves the size.
    inner
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\"", "")
        .replace(" \"/>", "\"/>")
        .replace(" font-family=\"sans-serif\"", "")
}

/// The page's rules for the colours: shade in the light, shade in the dark, dash.
pub(in crate::report) fn palette_css() -> (String, String) {
    let (mut light, mut dark) = (String::new(), String::new());
    for (index, style) in STYLES.iter().enumerate() {
        let key = hex(style.light);
        // Writing to a String can't fail.
        let _ = writeln!(
            light,
            "svg [stroke=\"{key}\"],.s{index}{{stroke:var(--s{index});stroke-linejoin:round}}"
        );
        let _ = writeln!(light, "svg [fill=\"{key}\"]{{fill:var(--s{index})}}");
        if !style.dash.is_empty() {
            let _ = writeln!(
                light,
                "svg polyline[stroke=\"{key}\"],line.s{index}{{stroke-dasharray:{}}}",
                style.dash
            );
        }
        let _ = writeln!(light, ":root{{--s{index}:{key}}}");
        let _ = writeln!(dark, ":root{{--s{index}:{}}}", style.dark);
    }
    for (color, name) in [(TEXT, "ink"), (MUTED, "muted"), (GRID, "grid"), (AXIS, "axis")] {
        let key = hex(color);
        let _ = writeln!(light, "svg [stroke=\"{key}\"]{{stroke:var(--{name})}}");
        let _ = writeln!(light, "svg [fill=\"{key}\"]{{fill:var(--{name})}}");
    }
    (light, dark)
}

fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// A line and its marker, 56 × 24 units.
fn swatch(style: usize) -> String {
    let key = hex(STYLES[style % STYLES.len()].light);
    let line =
        format!("<line class=\"s{style}\" x1=\"2\" y1=\"12\" x2=\"54\" y2=\"12\" stroke-width=\"4\"/>");
    let marker = match STYLES[style % STYLES.len()].marker {
        Marker::Circle => format!("<circle cx=\"28\" cy=\"12\" r=\"7\" fill=\"{key}\"/>"),
        Marker::Triangle => format!("<polygon points=\"20,18 28,4 36,18\" fill=\"{key}\"/>"),
        Marker::Square => format!("<rect x=\"22\" y=\"6\" width=\"12\" height=\"12\" fill=\"{key}\"/>"),
        Marker::Diamond => format!("<polygon points=\"20,12 28,4 36,12 28,20\" fill=\"{key}\"/>"),
        Marker::Ring => {
            format!("<circle cx=\"28\" cy=\"12\" r=\"6\" fill=\"none\" stroke=\"{key}\" stroke-width=\"2\"/>")
        }
        Marker::None => String::new(),
    };
    line + &marker
}

fn position(value: f64, range: &std::ops::Range<f64>, from: i32, to: i32) -> i32 {
    let length = range.end - range.start;
    let share = if length > 0.0 { ((value - range.start) / length).clamp(0.0, 1.0) } else { 0.5 };
    from + (share * f64::from(to - from)).round() as i32
}

/// Thins a line to at most `limit` points: of each stretch the smallest and the largest value stay, and
/// a stretch of nothing but gaps stays a gap.
pub(super) fn thin(points: &[(f64, Option<f64>)], limit: usize) -> Vec<(f64, Option<f64>)> {
    if points.len() <= limit.max(2) {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(limit.max(2) / 2);
    let mut thinned = Vec::with_capacity(limit);
    for part in points.chunks(stretch) {
        let values = || part.iter().enumerate().filter_map(|(n, (_, y))| y.map(|y| (n, y)));
        let low = values().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = values().max_by(|a, b| a.1.total_cmp(&b.1));
        match (low, high) {
            (Some((low, _)), Some((high, _))) => {
                let (first, second) = (low.min(high), low.max(high));
                thinned.push(part[first]);
                if second != first {
                    thinned.push(part[second]);
                }
            }
            _ => thinned.push(part[0]),
        }
    }
    thinned
}

/// The scale for values from `low` to `high`.
fn scale(quantity: Quantity, low: f64, high: f64) -> Scale {
    let low = if low.is_finite() && low < f64::MAX { low } else { 0.0 };
    let log = match quantity {
        Quantity::LogLatency => true,
        // Percentiles that are far apart can't be read from a linear axis.
        Quantity::Latency => low > 0.0 && high / low > 25.0,
        _ => false,
    };
    if log {
        let low = if low > 0.0 { low } else { 0.001 };
        let ticks = log_ticks(low, high);
        if quantity == Quantity::LogLatency {
            // Along a distribution: from its smallest to its largest value.
            return Scale { log, low, high: high.max(low * 1.1), ticks };
        }
        let (low, high) = (floor_125(low), ceil_125(high));
        return Scale { log, low, high, ticks: log_ticks(low, high) };
    }
    match quantity {
        Quantity::Seconds => Scale { log, low, high: high.max(low + 1.0), ticks: second_ticks(low, high) },
        Quantity::Share => Scale { log, low: 0.0, high: 1.0, ticks: vec![0.0, 0.25, 0.5, 0.75, 0.9, 1.0] },
        _ => {
            let whole = quantity == Quantity::Count;
            let step = ceil_125(high / 5.0).max(if whole { 1.0 } else { 1e-6 });
            let steps = (high / step).ceil().max(1.0);
            let ticks = (0..=steps as u32).map(|n| f64::from(n) * step).collect();
            Scale { log, low: 0.0, high: steps * step, ticks }
        }
    }
}

/// The largest of 1, 2, 5 times a power of ten that is not above `value`.
fn floor_125(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [5.0, 2.0].into_iter().map(|n| n * power).find(|v| *v <= value * (1.0 + 1e-9)).unwrap_or(power)
}

/// The smallest of 1, 2, 5 times a power of ten that is not below `value`.
fn ceil_125(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|n| n * power)
        .find(|v| *v >= value * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

/// Powers of ten within the range, with their 2 and 5 folds while these are few.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let from = low.log10().floor() as i32;
    let to = high.log10().ceil() as i32;
    for folds in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let ticks: Vec<f64> = (from..=to)
            .flat_map(|power| folds.iter().map(move |fold| fold * 10f64.powi(power)))
            .filter(|tick| *tick >= low * (1.0 - 1e-9) && *tick <= high * (1.0 + 1e-9))
            .collect();
        if ticks.len() <= 9 {
            return ticks;
        }
    }
    (from..=to).step_by(2).map(|power| 10f64.powi(power)).filter(|t| *t >= low && *t <= high).collect()
}

/// Round times, at most about ten of them.
fn second_ticks(low: f64, high: f64) -> Vec<f64> {
    const STEPS: [f64; 16] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0, 7_200.0,
        14_400.0, 86_400.0,
    ];
    let length = (high - low).max(1.0);
    let step = STEPS.into_iter().find(|step| length / step <= 10.0).unwrap_or(ceil_125(length / 10.0));
    let first = (low / step).ceil() as i64;
    (first..).map(|n| n as f64 * step).take_while(|t| *t <= high.max(low + 1.0) + 1e-9).collect()
}

/// A short text for a value on an axis.
fn tick_label(value: f64, quantity: Quantity) -> String {
    match quantity {
        Quantity::Seconds => {
            let seconds = value.round() as u64;
            match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
                (0, 0, s) => format!("{s} s"),
                (0, m, s) => format!("{m}:{s:02}"),
                (h, m, s) => format!("{h}:{m:02}:{s:02}"),
            }
        }
        Quantity::Latency | Quantity::LogLatency => without_zeros(&format_millis(value)),
        Quantity::Count => short_count(value),
        Quantity::Rate => format!("{}/s", short_count(value)),
        Quantity::Share => format!("{:.0}%", value * 100.0),
    }
}

/// `50.0ms` as `50ms`, `1.50s` as `1.5s`.
fn without_zeros(text: &str) -> String {
    let unit = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{unit}")
}

fn short_count(value: f64) -> String {
    for (size, unit) in [(1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if value >= size {
            let size = if unit == "k" { 1e3 } else { size };
            return format!("{}{unit}", super::trim(value / size));
        }
    }
    format_count(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut points: Vec<_> = (0..3_600).map(|n| (f64::from(n), Some(10.0))).collect();
        points[1_234].1 = Some(999.0);
        points[2_345].1 = Some(0.5);
        for point in &mut points[3_000..3_100] {
            point.1 = None;
        }
        let thinned = thin(&points, 600);
        assert!(thinned.len() <= 600, "{}", thinned.len());
        assert!(thinned.contains(&(1_234.0, Some(999.0))) && thinned.contains(&(2_345.0, Some(0.5))));
        assert!(thinned.iter().any(|(_, y)| y.is_none()));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn axes_have_a_few_round_ticks_from_five_seconds_to_a_day() {
        for length in [1.0, 5.0, 9.0, 60.0, 600.0, 3_600.0, 86_400.0] {
            let ticks = second_ticks(0.0, length);
            assert!((2..=11).contains(&ticks.len()), "{length}: {ticks:?}");
        }
        assert_eq!(second_ticks(0.0, 5.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let labels =
            |ticks: &[f64]| ticks.iter().map(|t| tick_label(*t, Quantity::Seconds)).collect::<Vec<_>>();
        assert_eq!(labels(&second_ticks(0.0, 600.0))[..3], ["0 s", "1:00", "2:00"]);
        for high in [0.0, 0.3, 1.0, 7.0, 99.0, 12_345.0] {
            let scale = scale(Quantity::Rate, 0.0, high);
            assert!(scale.high >= high && (2..=7).contains(&scale.ticks.len()), "{high}: {:?}", scale.ticks);
        }
        for (low, high) in [(0.001, 0.001), (0.2, 900.0), (1.0, 3.0), (0.001, 3_600_000.0)] {
            let ticks = log_ticks(floor_125(low), ceil_125(high));
            assert!((1..=9).contains(&ticks.len()), "{low}..{high}: {ticks:?}");
        }
    }

    #[test]
    fn ticks_are_written_without_needless_digits() {
        assert_eq!(tick_label(50.0, Quantity::Latency), "50ms");
        assert_eq!(tick_label(1_500.0, Quantity::Latency), "1.5s");
        assert_eq!(tick_label(20_000.0, Quantity::Rate), "20k/s");
        assert_eq!(tick_label(0.0, Quantity::Count), "0");
    }
}
