//! The HTML report: one file without script or network, for a browser, a printer or a CI artifact.
//!
//! The main function is [`render`]. Structure stands in the templates, whose names end in `.html` so that
//! the engine escapes every value; the only values it is told not to escape are the style sheet and the
//! bodies of pictures, both made here.

use anyhow::Context as _;
use tera::{Context, Tera};

use super::chart::palette_css;
use super::view::{Detail, RunView};
use crate::compare::Comparison;
use crate::data::RunData;

/// A page of more bytes than this is made again with less detail.
pub const MAX_BYTES: usize = 1_000_000;

const TEMPLATES: [(&str, &str); 4] = [
    ("report.html", include_str!("templates/report.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("test.html", include_str!("templates/test.html")),
    ("style.html", include_str!("templates/style.css")),
];

/// The page of a run. `base` is the baseline's run, for the distributions of both.
///
/// # Errors
/// If a chart can't be drawn or a template is wrong, neither of which depends on what was measured.
pub fn render(
    run: &RunData,
    base: Option<&RunData>,
    comparison: Option<&Comparison>,
) -> anyhow::Result<String> {
    let mut tera = Tera::new();
    tera.add_raw_templates(TEMPLATES).context("can't read the report's templates")?;
    let (light, dark) = palette_css();
    let mut page = String::new();
    // What can't be small enough anyway is not tried.
    let first = match run.tests.len() {
        0..8 => 0,
        8..24 => 1,
        24..60 => 2,
        _ => 3,
    };
    for detail in &Detail::LEVELS[first..] {
        let view = RunView::new(run, base, comparison, *detail)?;
        let mut context = Context::from_serialize(&view).context("can't hand the report to its templates")?;
        context.insert("palette_light", &light);
        context.insert("palette_dark", &dark);
        page = tera.render("report.html", &context).context("can't render the report")?;
        if page.len() <= MAX_BYTES {
            break;
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests;
