//! Lines in panels above one another, with a common horizontal axis: what every chart here is made of.
//!
//! The main type is [`Plot`]. The plotter has no fonts, so nothing is laid out by the size of text: the
//! margins are fixed, labels are short and made here, and legends are left to HTML, where any text wraps.
//! Colours are written as the keys of [`STYLES`]; the page's style sheet gives each of them its light and
//! dark shade and its dash ([`palette_css`]).

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::LegendItem;
use super::axis::{Quantity, position, scale, tick_label};

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

/// A key of the page's colours.
pub(super) const TEXT: RGBColor = RGBColor(0x2a, 0x33, 0x42);
/// A key of the page's colours.
pub(super) const MUTED: RGBColor = RGBColor(0x5b, 0x66, 0x76);
/// A key of the page's colours.
pub(super) const GRID: RGBColor = RGBColor(0xe2, 0xe7, 0xee);
/// A key of the page's colours.
pub(super) const AXIS: RGBColor = RGBColor(0x9a, 0xa5, 0xb5);

/// How a line looks. The first seven colours of Okabe and Ito (2008), darkened or lightened for contrast.
pub(super) struct Style {
    /// Its key, which is its shade in the light.
    pub(super) light: RGBColor,
    dark: &'static str,
    /// In units of the picture.
    dash: &'static str,
    /// What stands on its points.
    pub(super) marker: Marker,
}

/// What stands on a point.
#[derive(Clone, Copy)]
pub(super) enum Marker {
    Circle,
    Triangle,
    Square,
    Diamond,
    Ring,
    None,
}

/// Every look that a line may have.
pub(super) const STYLES: &[Style] = &[
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

/// Lines that share a vertical axis.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// What its vertical axis shows.
    pub caption: String,
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

/// A colour as pictures and style sheet write it.
pub(super) fn hex(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02X}{g:02X}{b:02X}")
}

/// A line and its marker, 56 × 24 units.
pub(super) fn swatch(style: usize) -> String {
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
}
