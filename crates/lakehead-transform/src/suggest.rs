//! What somebody who mistyped a name may have meant.

/// Names listed when none is near.
const LISTED_MAX: usize = 6;
/// Longer names are not compared: the work grows with the product of the lengths.
const COMPARED_BYTES_MAX: usize = 128;
/// Names looked at.
const CANDIDATES_MAX: usize = 2_000;

/// The end of a sentence about an unknown `name`: the nearest of `candidates`, or some of them. Empty if there are none.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let all: Vec<&str> = candidates.into_iter().take(CANDIDATES_MAX).collect();
    if let Some(near) = nearest(name, &all) {
        return format!("; did you mean `{near}`?");
    }
    match all.as_slice() {
        [] => String::new(),
        [only] => format!("; there is `{only}`"),
        all => {
            let shown: Vec<_> = all.iter().take(LISTED_MAX).map(|c| format!("`{}`", short(c))).collect();
            let more = if all.len() > LISTED_MAX { " and others" } else { "" };
            format!("; there are {}{more}", shown.join(", "))
        }
    }
}

/// The candidate that takes the fewest changes, if they are few for a name of that length.
pub(crate) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if name.len() > COMPARED_BYTES_MAX {
        return None;
    }
    let wanted: Vec<char> = name.to_lowercase().chars().collect();
    let allowed = (wanted.len() / 3).clamp(1, 4);
    candidates
        .iter()
        .filter(|c| c.len() <= COMPARED_BYTES_MAX)
        .map(|c| (distance(&wanted, &c.to_lowercase().chars().collect::<Vec<_>>()), *c))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

/// Inserted, deleted, replaced and swapped neighbouring characters that lead from one to the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(ca != cb)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *ca == b[j - 1] && a[i - 1] == *cb {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// A name as it may stand in a sentence.
pub(crate) fn short(name: &str) -> String {
    const CHARS_MAX: usize = 64;
    if name.chars().count() <= CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(CHARS_MAX).chain(['…']).collect()
}
