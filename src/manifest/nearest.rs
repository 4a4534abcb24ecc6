//! The name that a person meant who has mistyped it.

/// The known name that is most similar to an unknown one, unless none is similar.
pub(crate) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let similar = known.iter().filter(|name| is_similar(unknown, name));
    similar
        .map(|name| (strsim::damerau_levenshtein(unknown, name), *name))
        .min()
        .map(|(_, name)| name)
}

/// Whether a word is so close to a name that it is that name, mistyped. A short word is close to every other
/// one, so one letter may differ in it, and none in a single letter.
pub(crate) fn is_similar(word: &str, name: &str) -> bool {
    let lengths = [word, name].map(|text| text.chars().count());
    let allowed = match lengths.iter().min() {
        None | Some(0 | 1) => 0,
        Some(2 | 3) => 1,
        Some(_) => lengths.iter().max().map_or(0, |longest| longest / 4 + 1),
    };
    strsim::damerau_levenshtein(word, name) <= allowed
}

#[cfg(test)]
mod tests {
    use super::{is_similar, nearest};

    #[test]
    fn a_mistyped_word_is_similar_and_another_word_is_not() {
        for (word, name) in [
            ("depoly", "deploy"),
            ("rolback", "rollback"),
            ("stats", "status"),
            ("docter", "doctor"),
            ("pruen", "prune"),
            ("roll-back", "rollback"),
            ("tpye", "type"),
            ("exce", "exec"),
            ("shpo", "shop"),
            ("wbe", "web"),
            ("htp", "http"),
        ] {
            assert!(is_similar(word, name), "{word}");
        }
        for (word, name) in [
            ("run", "prune"),
            ("foo", "score"),
            ("cat", "check"),
            ("migrate", "generate"),
            ("api", "web"),
            ("db", "web"),
            ("x", "y"),
            ("ui", "db"),
            ("tcp", "http"),
            ("app", "web"),
            ("", "a"),
        ] {
            assert!(!is_similar(word, name), "{word}");
        }
    }

    #[test]
    fn the_most_similar_name_is_suggested() {
        assert_eq!(nearest("tpye", &["type", "exec"]), Some("type"));
        assert_eq!(nearest("servce", &["serve", "service"]), Some("serve"));
        assert_eq!(nearest("servcie", &["serve", "service"]), Some("service"));
        assert_eq!(nearest("zzzzzz", &["type", "exec"]), None);
        // Three letters of five differ.
        assert_eq!(nearest("paths", &["check", "limit"]), None);
    }
}
