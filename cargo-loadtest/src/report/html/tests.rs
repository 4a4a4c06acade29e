use super::*;
use crate::report::sample;

#[test]
fn dump() {
    let Some(to) = std::env::var_os("LOADTEST_REPORT_DUMP") else { return };
    let to = std::path::PathBuf::from(to);
    let write = |name: &str, page: String| std::fs::write(to.join(name), page).expect("writes");
    let (run, base, comparison) = sample::concert();
    write("concert.html", render(&run, Some(&base), Some(&comparison)).expect("renders"));
    let (run, base, comparison) = sample::hostile();
    write("hostile.html", render(&run, Some(&base), Some(&comparison)).expect("renders"));
}
