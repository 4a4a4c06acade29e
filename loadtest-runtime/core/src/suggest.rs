//! "Did you mean": the nearest known name, for errors about unknown ones.

/// Names of other tools that no slip of the finger explains, without the letters that [`plain`] drops, and ours.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("blacklistip", "block_ips"),
    ("blacklistips", "block_ips"),
    ("blockip", "block_ips"),
    ("blockhostname", "block_hostnames"),
    ("blockedhostnames", "block_hostnames"),
    ("nocookiesreset", "cookies"),
    ("allowlist", "allow"),
    ("insecure", "insecure_skip_tls_verify"),
];

/// The candidate that `word` is another way of writing, as `insecureSkipTLSVerify` is, or another tool's name of;
/// else the nearest, if it is near enough to be a slip of the finger: at most a third of
/// its letters differ (Damerau–Levenshtein distance, restricted: a swap of neighbours counts once).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let bare = plain(word);
    let other = OTHER_NAMES.iter().find(|(name, _)| *name == bare).map(|(_, ours)| *ours);
    let same =
        |candidate: &&&str| other == Some(**candidate) || (!bare.is_empty() && plain(candidate) == bare);
    if let Some(same) = candidates.iter().find(same) {
        return Some(same);
    }
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(3)) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean `x`?` when something is near, else `expected one of …`.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(word, candidates.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<String> = candidates.into_iter().map(|c| format!("`{c}`")).collect();
            format!("expected one of {}", all.join(", "))
        }
    }
}

/// Small letters without what separates words.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_a_different_word_is_not() {
        let names = ["constant-vus", "ramping-vus", "stages"];
        assert_eq!(nearest("ramping_vus", names), Some("ramping-vus"));
        assert_eq!(nearest("stagse", names), Some("stages"));
        assert_eq!(nearest("banana", names), None);
    }
}
