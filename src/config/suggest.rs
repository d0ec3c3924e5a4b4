//! "Did you mean …?": the nearest known word to an unknown one.

/// The word nearest to `unknown`, if one is near enough to have been meant.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long input is no typo, and the distance costs the product of the lengths.
    if unknown.len() > 64 {
        return None;
    }
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(unknown, word), word))
        .filter(|(distance, word)| *distance <= word.len().div_ceil(4).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 3] = ["listen", "max-in-flight", "max-connections"];

    #[test]
    fn a_typo_finds_the_word() {
        assert_eq!(nearest("lissten", KEYS), Some("listen"));
        assert_eq!(nearest("max_in_flight", KEYS), Some("max-in-flight"));
        assert_eq!(nearest("max-inflight", KEYS), Some("max-in-flight"));
    }

    #[test]
    fn another_word_finds_nothing() {
        assert_eq!(nearest("colour", KEYS), None);
        assert_eq!(nearest(&"x".repeat(1000), KEYS), None);
    }
}
