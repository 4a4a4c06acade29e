//! A small writer of SVG pictures, for what is not lines over a common axis.
//!
//! The main type is [`Picture`]. It uses the colours of [`plot`](super::plot) as keys, which the page's style sheet
//! turns into light and dark shades, and escapes every text. It measures no text: who draws leaves room.

use std::fmt::Write as _;

use super::LegendItem;
use super::plot::{self, AXIS, GRID, MUTED, Marker, STYLES, TEXT, hex};

/// Units of the picture for one of the page: the same as those of the plotter's pictures.
pub(super) const UNIT: f64 = 2.0;
/// Its width.
pub(super) const WIDTH: f64 = 760.0 * UNIT;

/// Where a text begins, or what it is around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// What is not of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shade {
    /// Names and captions.
    Ink,
    /// Numbers along an axis.
    Muted,
    /// Lines and zones behind everything.
    Grid,
    /// Axes.
    Axis,
}

impl Shade {
    fn key(self) -> String {
        hex(match self {
            Self::Ink => TEXT,
            Self::Muted => MUTED,
            Self::Grid => GRID,
            Self::Axis => AXIS,
        })
    }
}

/// A picture in the making.
#[derive(Debug, Default)]
pub(super) struct Picture {
    body: String,
}

impl Picture {
    /// What is between `<svg>` and `</svg>`.
    pub(super) fn into_body(self) -> String {
        self.body
    }

    /// A text whose middle height is at `y`.
    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, shade: Shade, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        // Writing to a String can't fail.
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" dy=\"0.35em\" text-anchor=\"{anchor}\" font-size=\"22\" fill=\"{}\">{}</text>",
            shade.key(),
            escape(text)
        );
    }

    /// A line of the background.
    pub(super) fn line(&mut self, points: &[(f64, f64)], shade: Shade, width: f64) {
        self.polyline(points, &shade.key(), width);
    }

    /// A line of a series.
    pub(super) fn series(&mut self, points: &[(f64, f64)], style: usize, width: f64) {
        self.polyline(points, &hex(STYLES[style % STYLES.len()].light), width);
    }

    fn polyline(&mut self, points: &[(f64, f64)], key: &str, width: f64) {
        let _ = writeln!(
            self.body,
            "<polyline fill=\"none\" stroke=\"{key}\" stroke-width=\"{width}\" points=\"{}\"/>",
            joined(points)
        );
    }

    /// A zone of the background.
    pub(super) fn zone(&mut self, (left, top): (f64, f64), (right, bottom): (f64, f64)) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            (right - left).max(0.0),
            (bottom - top).max(0.0),
            Shade::Grid.key()
        );
    }

    /// A band of a series, seen through.
    pub(super) fn band(&mut self, points: &[(f64, f64)], style: usize) {
        let _ = writeln!(
            self.body,
            "<polygon fill=\"{}\" fill-opacity=\"0.22\" points=\"{}\"/>",
            hex(STYLES[style % STYLES.len()].light),
            joined(points)
        );
    }

    /// The marker of a series.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), style: usize) {
        let style = &STYLES[style % STYLES.len()];
        let key = hex(style.light);
        let r = 4.0 * UNIT;
        let polygon = |points: &[(f64, f64)]| {
            let points: Vec<(f64, f64)> = points.iter().map(|(dx, dy)| (x + dx * r, y + dy * r)).collect();
            format!("<polygon points=\"{}\" fill=\"{key}\"/>", joined(&points))
        };
        let marker = match style.marker {
            Marker::Circle => {
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.0}\" fill=\"{key}\"/>", r - 1.0)
            }
            Marker::Triangle => polygon(&[(-1.0, 0.8), (0.0, -1.0), (1.0, 0.8)]),
            Marker::Square => polygon(&[(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)]),
            Marker::Diamond => polygon(&[(-1.0, 0.0), (0.0, -1.0), (1.0, 0.0), (0.0, 1.0)]),
            Marker::Ring => format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.0}\" fill=\"none\" stroke=\"{key}\" stroke-width=\"4\"/>",
                r - 2.0
            ),
            Marker::None => String::new(),
        };
        self.body.push_str(&marker);
        self.body.push('\n');
    }

    /// A cross: something that does not count.
    pub(super) fn cross(&mut self, (x, y): (f64, f64)) {
        let r = 3.5 * UNIT;
        for dy in [r, -r] {
            self.line(&[(x - r, y - dy), (x + r, y + dy)], Shade::Muted, 4.0);
        }
    }

    /// The end of an interval that goes on beyond the picture; `right` tells where to.
    pub(super) fn arrow(&mut self, (x, y): (f64, f64), right: bool, style: usize) {
        let r = if right { 4.0 * UNIT } else { -4.0 * UNIT };
        let key = hex(STYLES[style % STYLES.len()].light);
        let points = joined(&[(x - r, y - r.abs()), (x + r, y), (x - r, y + r.abs())]);
        let _ = writeln!(self.body, "<polygon points=\"{points}\" fill=\"{key}\"/>");
    }
}

/// The legend of a series.
pub(super) fn series_item(label: &str, style: usize) -> LegendItem {
    LegendItem { label: label.to_owned(), style, swatch: plot::swatch(style) }
}

/// The legend of something that is no series: `place` only tells it from others.
pub(super) fn other_item(label: &str, place: usize, draw: impl FnOnce(&mut Picture)) -> LegendItem {
    let mut swatch = Picture::default();
    draw(&mut swatch);
    LegendItem { label: label.to_owned(), style: STYLES.len() + place, swatch: swatch.into_body() }
}

fn joined(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
