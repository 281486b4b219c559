//! Escapes text from targets (names, logs, replies), so that a terminal or a Markdown page shows it as text only.

use std::borrow::Cow;

/// Replaces characters that move a terminal's cursor, ring its bell or change its colours. Keeps line ends and tabs.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if text.contains(is_control) { Cow::Owned(text.replace(is_control, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Escapes text for a line of Markdown, so that it cannot be a table, HTML or a link.
#[must_use]
pub fn in_markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '\n' | '\t' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '|' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_bells_of_a_target_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\u{7}\tb\nc\u{9b}"), "a\u{fffd}[31m\u{fffd}\tb\nc\u{fffd}");
        assert!(matches!(printable("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn text_of_a_target_is_not_rendered_as_markdown() {
        assert_eq!(in_markdown("a|b<script>\n[x](y)"), "a\\|b&lt;script> \\[x\\](y)");
    }
}
