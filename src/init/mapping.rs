//! The `[session]` table from a recording: which request is the log-in, the write, the read and the log-out, and where the values
//! that they send come from.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::har::{Body, Recorded, Recording};
use super::source_of::{path_to, path_to_all, query_for};
use super::{Draft, quoted};

/// Shorter values are no tokens, and would be found everywhere.
const MIN_TOKEN_CHARS: usize = 8;

/// Headers with which apps and balancers say who answered.
const NODE_HEADERS: [&str; 8] = [
    "x-served-by",
    "x-node",
    "x-instance",
    "x-server",
    "x-backend",
    "x-backend-server",
    "x-upstream",
    "x-upstream-addr",
];

/// Which requests of a visit are which, by their places in it.
struct Visit<'a> {
    all: &'a [Recorded],
    register: Option<usize>,
    login: usize,
    write: Option<usize>,
    read: Option<usize>,
    logout: Option<usize>,
    /// What the user typed as name and password.
    user: Option<String>,
    password: Option<String>,
    /// What the write wrote.
    written: Option<String>,
}

/// A request of a list, with what its reply gives to later ones.
struct Step {
    at: usize,
    captures: Vec<(String, String)>,
}

/// Writes the table.
pub fn write(recording: &Recording, draft: &mut Draft) {
    draft.notes.extend(recording.notes.iter().cloned());
    let Some(visit) = Visit::of(&recording.exchanges) else {
        draft.notes.push("no request of the recording looks like a log-in".to_owned());
        return;
    };
    let mut lists: Vec<(&str, Vec<Step>)> = Vec::new();
    for (name, at) in [
        ("register", visit.register),
        ("login", Some(visit.login)),
        ("read", visit.read),
        ("write", visit.write),
        ("logout", visit.logout),
    ] {
        match at {
            Some(at) => visit.add_list(name, at, &mut lists),
            None if name != "register" => {
                draft.notes.push(format!(
                    "no request of the recording looks like a {name}: write `[[session.{name}]]` yourself"
                ));
            }
            None => {}
        }
    }
    visit.write_head(draft);
    for name in ["register", "login", "write", "read", "logout"] {
        if let Some((_, steps)) = lists.iter().find(|(of, _)| *of == name) {
            visit.write_list(name, steps, &names_of(&lists), draft);
        }
    }
}

fn names_of<'a>(lists: &'a [(&str, Vec<Step>)]) -> Vec<&'a (String, String)> {
    lists.iter().flat_map(|(_, steps)| steps).flat_map(|step| &step.captures).collect()
}

impl<'a> Visit<'a> {
    fn of(all: &'a [Recorded]) -> Option<Self> {
        let says = |path: &str, words: &[&str]| {
            let path = path.to_lowercase().replace(['-', '_'], "");
            words.iter().any(|word| path.contains(word))
        };
        let with_password = |at: &usize| all.get(*at).is_some_and(|one| one.is_change() && password_of(one).is_some());
        let register = (0..all.len())
            .filter(with_password)
            .find(|at| all.get(*at).is_some_and(|one| says(&one.path, &["register", "signup", "createaccount"])));
        let after = register.map_or(0, |at| at + 1);
        let login = (after..all.len())
            .find(with_password)
            .or_else(|| (after..all.len()).find(|at| all.get(*at).is_some_and(Recorded::is_change)))?;
        let logout = (login + 1..all.len())
            .find(|at| all.get(*at).is_some_and(|one| says(&one.path, &["logout", "signout", "logoff"])));
        let end = logout.unwrap_or(all.len());
        let write = (login + 1..end).find(|at| all.get(*at).is_some_and(Recorded::is_change));
        let login_of = all.get(login)?;
        let password = password_of(login_of);
        let user = user_of(login_of, password.as_deref());
        let mut visit = Self { all, register, login, write, read: None, logout, user, password, written: None };
        visit.written = write.and_then(|at| visit.written_by(at));
        let is_page = |at: &usize| {
            all.get(*at)
                .is_some_and(|one| one.method == "GET" && matches!(one.status, 200 | 304) && !one.text.is_empty())
        };
        let shows = |at: &usize| {
            let text = all.get(*at).map_or("", |one| one.text.as_str());
            visit.written.as_ref().is_some_and(|written| text.contains(written.as_str()))
        };
        let after_write = write.map_or(login, |at| at) + 1..end;
        visit.read = after_write
            .clone()
            .filter(is_page)
            .find(shows)
            .or_else(|| after_write.clone().rev().find(is_page))
            .or_else(|| (login + 1..end).find(is_page));
        Some(visit)
    }

    fn at(&self, at: usize) -> Option<&'a Recorded> {
        self.all.get(at)
    }

    /// The first value of a request that no earlier reply shows.
    fn written_by(&self, at: usize) -> Option<String> {
        let values = values_of(&self.at(at)?.body);
        let is_new = |value: &String| {
            !value.is_empty()
                && !(0..at).any(|earlier| self.at(earlier).is_some_and(|one| query_for(value, one).is_some()))
        };
        values.into_iter().map(|(_, value)| value).find(is_new)
    }

    /// Adds a list that ends with a request, and before it the pages that show what it sends.
    fn add_list(&self, name: &'static str, at: usize, lists: &mut Vec<(&str, Vec<Step>)>) {
        let mut steps = vec![Step { at, captures: Vec::new() }];
        for (called, value) in self.tokens(at) {
            let Some((source, query)) =
                (0..at).rev().find_map(|earlier| Some((earlier, query_for(&value, self.at(earlier)?)?)))
            else {
                continue;
            };
            // Registering is not a part of what users do under load: what it captures is not there.
            let earlier = lists.iter_mut().filter(|(of, _)| *of == "login").flat_map(|(_, steps)| steps);
            match earlier.chain(&mut steps).find(|step| step.at == source) {
                Some(step) => step.captures.push((called, query)),
                None if self.at(source).is_some_and(|one| !one.is_change()) => {
                    steps.insert(0, Step { at: source, captures: vec![(called, query)] });
                }
                None => {}
            }
        }
        steps.sort_by_key(|step| step.at);
        lists.push((name, steps));
    }

    /// Names and values of what a request sends and a user did not type.
    fn tokens(&self, at: usize) -> Vec<(String, String)> {
        let Some(one) = self.at(at) else { return Vec::new() };
        let typed = [&self.user, &self.password, &self.written];
        let headers = one.headers.iter().filter(|(name, _)| is_own_header(name)).cloned();
        let sent = values_of(&one.body).into_iter().chain(headers);
        let is_token =
            |value: &String| value.len() >= MIN_TOKEN_CHARS && !typed.iter().any(|typed| typed.as_ref() == Some(value));
        sent.filter(|(_, value)| is_token(value)).map(|(name, value)| (variable(&name), value)).collect()
    }

    fn write_head(&self, draft: &mut Draft) {
        let text = &mut draft.text;
        text.push_str("\n[session]\n");
        if let Some((prefix, query)) = self.bearer() {
            let _ = writeln!(
                text,
                "carrier = {{ header = \"Authorization\", from = {}, prefix = {} }}",
                quoted(&query),
                quoted(&prefix)
            );
        }
        let replies = self.all.iter().flat_map(|one| &one.replied);
        let node = replies.map(|(name, _)| name.as_str()).find(|name| NODE_HEADERS.contains(name));
        let _ = match node {
            Some(name) => writeln!(text, "node = 'header \"{name}\"'  # a guess: who answered"),
            None => writeln!(
                text,
                "# node = 'header \"X-Served-By\"'  # who answered, if replies say so: an address, a host, a container"
            ),
        };
        let _ = writeln!(text, "unknown = {}", self.unknown());
        if self.register.is_none() {
            text.push_str(
                "users = \"users.csv\"  # accounts that exist: columns owner,password, a line for each session\n",
            );
            draft.notes.push("write users.csv beside the file: `owner,password` in its first line, then an account for each session of the profile".to_owned());
        }
    }

    /// The header that carries the session, if the log-in's reply gives it.
    fn bearer(&self) -> Option<(String, String)> {
        let login = self.at(self.login)?;
        let later = self.all.get(self.login + 1..)?.iter().flat_map(|one| &one.headers);
        later.filter(|(name, _)| name == "authorization").find_map(|(_, value)| {
            let (scheme, token) = value.split_once(' ')?;
            Some((format!("{scheme} "), query_for(token, login)?))
        })
    }

    /// How the app answers somebody whom it does not know: as recorded before the log-in or after the log-out, or a guess.
    fn unknown(&self) -> String {
        let path = self.read.and_then(|at| self.at(at)).map(Recorded::plain_path);
        let is_outside = |at: usize| at < self.login || self.logout.is_some_and(|logout| at > logout);
        let outside = (0..self.all.len()).filter(|at| is_outside(*at)).filter_map(|at| self.at(at));
        let refused =
            outside.filter(|one| Some(one.plain_path()) == path).find(|one| one.status >= 300 && one.status != 304);
        if let Some(one) = refused {
            return match &one.location {
                Some(to) => format!("[{{ status = {}, location = {} }}]", one.status, quoted(&format!("{to}*"))),
                None => format!("[{{ status = {} }}]", one.status),
            };
        }
        let page = self.at(self.login).map_or("/login", Recorded::plain_path);
        format!("[{{ status = 401 }}, {{ status = 302, location = {} }}]  # a guess", quoted(&format!("{page}*")))
    }

    fn write_list(&self, name: &str, steps: &[Step], captured: &[&(String, String)], draft: &mut Draft) {
        for (number, step) in (1..).zip(steps) {
            let Some(one) = self.at(step.at) else { continue };
            let is_last = number == steps.len();
            let text = &mut draft.text;
            let _ = write!(text, "\n[[session.{name}]]\n{} = {}\n", one.method.to_lowercase(), quoted(&one.path));
            let fill = |value: &str| self.filled(value, step.at, captured, name == "write");
            let headers: Vec<String> = one
                .headers
                .iter()
                .filter(|(name, _)| is_own_header(name) && name != "authorization")
                .map(|(name, value)| format!("{} = {}", key(name), quoted(&fill(value))))
                .collect();
            if !headers.is_empty() {
                let _ = writeln!(text, "headers = {{ {} }}", headers.join(", "));
            }
            match &one.body {
                Body::None => {}
                Body::Form(pairs) => {
                    let pairs: Vec<String> =
                        pairs.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(&fill(value)))).collect();
                    let _ = writeln!(text, "form = {{ {} }}", pairs.join(", "));
                }
                Body::Json(json) => {
                    let _ = writeln!(text, "json = {}", inline(json, &fill));
                }
                Body::Text(body) => {
                    let _ = writeln!(text, "body = {}", quoted(&fill(body)));
                }
            }
            let mut unique = BTreeSet::new();
            let captures: Vec<String> = step
                .captures
                .iter()
                .filter(|(name, _)| unique.insert(name.clone()))
                .map(|(name, query)| format!("{name} = {}", quoted(query)))
                .collect();
            if !captures.is_empty() {
                let _ = writeln!(text, "capture = {{ {} }}", captures.join(", "));
            }
            // A page from the browser's own memory is one that the server would send.
            let status = if one.status == 304 { 200 } else { one.status };
            let _ = match &one.location {
                Some(to) => writeln!(text, "expect = {{ status = {status}, location = {} }}", quoted(to)),
                None => writeln!(text, "expect = {{ status = {status} }}"),
            };
            if name == "read" && is_last {
                self.write_evidence(one, draft);
            }
        }
    }

    /// What the read shows of the session.
    fn write_evidence(&self, read: &Recorded, draft: &mut Draft) {
        let json = serde_json::from_str::<Value>(&read.text).ok();
        let is_user = |value: &Value| value.as_str().is_some() && value.as_str() == self.user.as_deref();
        let owner = json.as_ref().and_then(|json| path_to(json, &is_user));
        let listed = json.as_ref().zip(self.written.as_ref()).and_then(|(json, value)| path_to_all(json, value));
        let _ = match owner {
            Some(path) => writeln!(draft.text, "owner = {}", quoted(&format!("jsonpath \"{path}\""))),
            None => {
                writeln!(draft.text, "# owner = 'regex /Hello, ([^<]+)/'  # where the reply shows the user, if it does")
            }
        };
        let _ = match listed {
            Some(path) => writeln!(draft.text, "operations = {}", quoted(&format!("jsonpath \"{path}\""))),
            None => writeln!(
                draft.text,
                "# operations = 'regex /<li>([^<]+)/'  # where the reply shows everything that was written, or `counter`: how much"
            ),
        };
    }

    /// A recorded value with variables in the place of what differs between users.
    fn filled(&self, value: &str, at: usize, captured: &[&(String, String)], is_write: bool) -> String {
        if is_write && self.written.as_deref() == Some(value) {
            return "{{op}}".to_owned();
        }
        if self.user.as_deref() == Some(value) {
            return "{{owner}}".to_owned();
        }
        if self.password.as_deref() == Some(value) {
            return "{{password}}".to_owned();
        }
        let tokens = self.tokens(at);
        let token = tokens.iter().find(|(_, token)| token == value).map(|(name, _)| name);
        match token.filter(|name| captured.iter().any(|(known, _)| known == *name)) {
            Some(name) => format!("{{{{{name}}}}}"),
            None => value.to_owned(),
        }
    }
}

/// Headers that apps ask for and browsers do not send by themselves.
fn is_own_header(name: &str) -> bool {
    name.starts_with("x-") || name == "authorization"
}

fn values_of(body: &Body) -> Vec<(String, String)> {
    match body {
        Body::Form(pairs) => pairs.clone(),
        Body::Json(json) => {
            let mut values = Vec::new();
            leaves("value", json, &mut values);
            values
        }
        Body::None | Body::Text(_) => Vec::new(),
    }
}

fn leaves(name: &str, json: &Value, into: &mut Vec<(String, String)>) {
    match json {
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        Value::Object(table) => table.iter().for_each(|(key, value)| leaves(key, value, into)),
        Value::Array(list) => list.iter().for_each(|value| leaves(name, value, into)),
        _ => {}
    }
}

fn password_of(one: &Recorded) -> Option<String> {
    let is_password = |name: &str| {
        let name = name.to_lowercase();
        name.contains("pass") || name.contains("pwd")
    };
    values_of(&one.body).into_iter().find(|(name, _)| is_password(name)).map(|(_, value)| value)
}

fn user_of(one: &Recorded, password: Option<&str>) -> Option<String> {
    let values = values_of(&one.body);
    let is_user = |name: &str| {
        let name = name.to_lowercase();
        ["user", "login", "email", "name", "account"].iter().any(|word| name.contains(word))
    };
    let is_typed = |value: &str| Some(value) != password && value.len() < 64;
    values.iter().find(|(name, value)| is_user(name) && is_typed(value)).map(|(_, value)| value.clone())
}

/// A name as a variable may have it.
fn variable(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    match plain.trim_matches('_') {
        "" => "token".to_owned(),
        // Every user has these.
        built_in @ ("owner" | "op" | "password") => format!("{built_in}_sent"),
        plain => plain.to_owned(),
    }
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if is_bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

/// JSON as TOML has it in one line.
fn inline(json: &Value, fill: &dyn Fn(&str) -> String) -> String {
    match json {
        Value::String(text) => quoted(&fill(text)),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(|value| inline(value, fill)).collect::<Vec<_>>().join(", "))
        }
        Value::Object(table) => {
            // TOML has no null; a key without a value is left out.
            let values = table.iter().filter(|(_, value)| !value.is_null());
            let pairs: Vec<String> =
                values.map(|(name, value)| format!("{} = {}", key(name), inline(value, fill))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::draft;
    use super::*;

    fn drafted(entries: &Value) -> Draft {
        let archive = json!({"log": {"entries": entries}}).to_string();
        draft(None, Some(&Recording::read(&archive).unwrap()))
    }

    fn entry(method: &str, path: &str, sent: &Value, status: u16, reply: &str) -> Value {
        let body = json!({"mimeType": "application/json", "text": sent.to_string()});
        json!({
            "request": {
                "method": method, "url": format!("http://shop.test{path}"), "headers": [],
                "postData": if sent.is_null() { Value::Null } else { body },
            },
            "response": {"status": status, "headers": [], "content": {"mimeType": "application/json", "text": reply}},
        })
    }

    #[test]
    fn a_visit_to_a_django_shop_becomes_its_mapping() {
        let recording = Recording::read(include_str!("../../examples/django-shop/session.har")).unwrap();
        let Draft { text, notes } = draft(None, Some(&recording));
        insta::assert_snapshot!(format!("{text}\n{}", notes.join("\n")));
        assert!(!text.contains("sesame-7") && !text.contains("shopper-7") && !text.contains("teapot-12"));
    }

    #[test]
    fn a_bearer_token_a_registration_and_nested_json_are_found() {
        let user = json!({"email": "ann@shop.test", "password": "secret-of-ann"});
        let mut write = entry("POST", "/api/cart", &json!({"line": {"sku": "teapot-12", "count": 1}}), 201, "{}");
        write["request"]["headers"] = json!([{"name": "Authorization", "value": "Bearer 0123456789abcdef"}]);
        let cart = r#"{"data": {"mail": "ann@shop.test", "lines": [{"sku": "teapot-12"}]}}"#;
        let Draft { text, notes } = drafted(&json!([
            entry("POST", "/api/sign-up", &user, 201, "{}"),
            entry("POST", "/api/session", &user, 200, r#"{"token": "0123456789abcdef"}"#),
            write,
            entry("GET", "/api/cart", &Value::Null, 200, cart),
            entry("POST", "/api/log-out", &Value::Null, 204, ""),
            entry("GET", "/api/cart", &Value::Null, 401, ""),
        ]));
        let text = format!("{text}\n{}", notes.join("\n"));
        insta::assert_snapshot!(text, @r#"
        # A guess is marked as one. `steadfast probe` of this file says what is wrong with it.
        # Where sessions live: none, sticky-cookie, sticky-ip, replicate-all, primary-backup, store, client-side.
        strategy = "none"  # a guess
        shows = "Our system as we deploy it."

        # Where it runs: an endpoint, and for each app node its address and what kills and starts it.
        [attached]
        endpoint = "127.0.0.1:8080"  # a guess
        # ready = "/health"
        [[attached.app]]
        # address = "10.0.0.11:8000"
        # kill = "ssh web1 sudo systemctl kill -s KILL shop"
        # start = "ssh web1 sudo systemctl start shop"
        [[attached.app]]

        [session]
        carrier = { header = "Authorization", from = 'jsonpath "$.token"', prefix = "Bearer " }
        # node = 'header "X-Served-By"'  # who answered, if replies say so: an address, a host, a container
        unknown = [{ status = 401 }]

        [[session.register]]
        post = "/api/sign-up"
        json = { email = "{{owner}}", password = "{{password}}" }
        expect = { status = 201 }

        [[session.login]]
        post = "/api/session"
        json = { email = "{{owner}}", password = "{{password}}" }
        expect = { status = 200 }

        [[session.write]]
        post = "/api/cart"
        json = { line = { count = 1, sku = "{{op}}" } }
        expect = { status = 201 }

        [[session.read]]
        get = "/api/cart"
        expect = { status = 200 }
        owner = 'jsonpath "$.data.mail"'
        operations = 'jsonpath "$.data.lines[*].sku"'

        [[session.logout]]
        post = "/api/log-out"
        expect = { status = 204 }

        say in `[attached]` where the system runs; `--compose` takes it from Compose files
        "#);
    }

    #[test]
    fn what_cannot_be_used_is_named_and_the_rest_is_used() {
        let mut login = entry("POST", "/login", &json!({"user": "ann", "password": "secret"}), 200, "");
        login["response"]["content"] =
            json!({"mimeType": "text/html", "encoding": "base64", "text": "H4sIAAAAAAAA/w=="});
        let mut elsewhere = entry("GET", "/count", &Value::Null, 200, "");
        elsewhere["request"]["url"] = json!("https://count.test/pixel");
        let mut image = entry("GET", "/logo.png", &Value::Null, 200, "");
        image["response"]["content"]["mimeType"] = json!("image/png");
        let notes = drafted(&json!([elsewhere, image, login])).notes.join("\n");
        insta::assert_snapshot!(notes, @r"
        say in `[attached]` where the system runs; `--compose` takes it from Compose files
        the reply to POST /login is left out: its body is compressed
        requests to other hosts than shop.test are left out: count.test
        1 requests for images, styles, scripts and fonts are left out
        there are no cookies in it: if the app has some, save the recording with its sensitive data; else say with `carrier` which header carries the session
        no request of the recording looks like a read: write `[[session.read]]` yourself
        no request of the recording looks like a write: write `[[session.write]]` yourself
        no request of the recording looks like a logout: write `[[session.logout]]` yourself
        write users.csv beside the file: `owner,password` in its first line, then an account for each session of the profile
        ");
        let none = Recording::read(r#"{"log": {"entries": []}}"#).unwrap_err().to_string();
        assert!(none.contains("record from before the log-in"), "{none}");
        let other = Recording::read("<html>").unwrap_err().to_string();
        assert!(other.contains("no HTTP Archive as browsers save it"), "{other}");
    }
}
