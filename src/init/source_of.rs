//! Where a value that a request sends was first seen: the query that finds it in an earlier reply.

use serde_json::Value;

use super::har::Recorded;

/// A query, in the words of the session mapping, that finds a value in a reply; `None` if the reply does not show it.
#[must_use]
pub fn query_for(value: &str, reply: &Recorded) -> Option<String> {
    if let Some((name, _)) = reply.set_cookies.iter().find(|(_, set)| set == value) {
        return Some(format!("cookie \"{name}\""));
    }
    if let Ok(json) = serde_json::from_str::<Value>(&reply.text) {
        return path_to(&json, &|found| found.as_str() == Some(value)).map(|path| format!("jsonpath \"{path}\""));
    }
    pattern_for(value, &reply.text).map(|pattern| format!("regex /{pattern}/"))
}

/// The JSON path of the first value that is the wanted one.
#[must_use]
pub fn path_to(json: &Value, is_wanted: &dyn Fn(&Value) -> bool) -> Option<String> {
    find(json, is_wanted, "$")
}

/// The JSON path of all elements of the list in which a value stands: `$.items[*]`, or `$.items[*].sku`.
#[must_use]
pub fn path_to_all(json: &Value, value: &str) -> Option<String> {
    let path = path_to(json, &|found| found.as_str() == Some(value))?;
    let (list, rest) = path.rsplit_once('[').filter(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))?;
    let (_, below) = rest.split_once(']')?;
    Some(format!("{list}[*]{below}"))
}

fn find(json: &Value, is_wanted: &dyn Fn(&Value) -> bool, path: &str) -> Option<String> {
    if is_wanted(json) {
        return Some(path.to_owned());
    }
    match json {
        Value::Object(table) => table.iter().find_map(|(key, value)| find(value, is_wanted, &child(path, key))),
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(index, value)| find(value, is_wanted, &format!("{path}[{index}]")))
        }
        _ => None,
    }
}

fn child(path: &str, key: &str) -> String {
    let is_plain = key.chars().enumerate().all(|(at, c)| c == '_' || c.is_alphabetic() || at > 0 && c.is_ascii_digit());
    if is_plain && !key.is_empty() { format!("{path}.{key}") } else { format!("{path}['{key}']") }
}

/// A regular expression that finds a value in a page by what stands before it in the same tag.
fn pattern_for(value: &str, text: &str) -> Option<String> {
    let at = text.find(value)?;
    let before = text.get(..at)?;
    let tag = before.get(before.rfind('<').unwrap_or_default()..)?;
    let end = text.get(at + value.len()..)?.chars().next().unwrap_or('"');
    let tag: String = tag.split_whitespace().map(regex::escape).collect::<Vec<_>>().join("\\s+");
    (!tag.is_empty()).then(|| format!("{}([^{}]+)", tag.replace('/', "\\/"), regex::escape(&end.to_string())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_found_in_a_cookie_in_json_and_in_a_page() {
        let reply = |text: &str| Recorded { text: text.to_owned(), ..Recorded::default() };
        let cookie = Recorded { set_cookies: vec![("csrf".into(), "abc".into())], ..Recorded::default() };
        assert_eq!(query_for("abc", &cookie).as_deref(), Some("cookie \"csrf\""));
        let json = reply(r#"{"a": [{"the key": "abc"}]}"#);
        assert_eq!(query_for("abc", &json).as_deref(), Some("jsonpath \"$.a[0]['the key']\""));
        let page = reply("<p>\n<input type=\"hidden\"  name=\"_csrf\"\n value=\"abc\"/>");
        let query = query_for("abc", &page).unwrap();
        assert_eq!(query, "regex /<input\\s+type=\"hidden\"\\s+name=\"_csrf\"\\s+value=\"([^\"]+)/");
        let query = crate::mapping::Query::try_from(query).unwrap();
        assert_eq!(query.to_string(), "regex /<input\\s+type=\"hidden\"\\s+name=\"_csrf\"\\s+value=\"([^\"]+)/");
        assert_eq!(query_for("abcd", &page), None);
    }

    #[test]
    fn a_list_is_found_by_one_of_its_elements() {
        let json = json!({"user": "ann", "cart": [{"sku": "x"}, {"sku": "abc"}], "last": "abc"});
        assert_eq!(path_to_all(&json, "abc").as_deref(), Some("$.cart[*].sku"));
        assert_eq!(path_to_all(&json, "ann"), None);
    }
}
