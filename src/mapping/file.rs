//! The `[session]` table of a target file, checked: every variable is known before it is used, and what is needed is there.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::step::StepFile;
use super::{Accounts, BUILT_IN, Carrier, Query, ReplyPattern, SessionMapping, Step, Template};
use crate::files::{FileError, Source};

/// The table as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingFile {
    #[serde(default)]
    carrier: CarrierFile,
    node: Option<Query>,
    unknown: Option<Spanned<Vec<ReplyPattern>>>,
    users: Option<Spanned<String>>,
    #[serde(default)]
    register: Vec<Spanned<StepFile>>,
    #[serde(default)]
    login: Vec<Spanned<StepFile>>,
    #[serde(default)]
    write: Vec<Spanned<StepFile>>,
    #[serde(default)]
    read: Vec<Spanned<StepFile>>,
    #[serde(default)]
    logout: Vec<Spanned<StepFile>>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum CarrierFile {
    #[default]
    Default,
    Word(CookieWord),
    Header {
        header: String,
        from: Query,
        #[serde(default)]
        prefix: String,
    },
}

#[derive(Deserialize)]
enum CookieWord {
    #[serde(rename = "cookie")]
    Cookie,
}

impl MappingFile {
    /// The mapping of the table at `span` of a file.
    ///
    /// # Errors
    /// Names file, line and key of what is wrong, and what is allowed.
    pub fn check(self, source: &Source, span: std::ops::Range<usize>) -> Result<SessionMapping, FileError> {
        let missing = |key: &str, why: &str| {
            let message = format!("it needs `{key}`: {why}");
            Err(source.invalid(span.clone(), Some("session"), message))
        };
        if self.login.is_empty() {
            return missing("[[session.login]]", "how a user gets a session");
        }
        if self.read.is_empty() {
            return missing("[[session.read]]", "how a user sees that the session is there");
        }
        if self.write.is_empty() {
            return missing("[[session.write]]", "how a user changes the session");
        }
        let Some(unknown) = self.unknown else {
            return missing(
                "unknown",
                "how the app answers a session that it does not know, such as [{ status = 401 }]",
            );
        };
        if unknown.get_ref().is_empty() || unknown.get_ref().iter().any(ReplyPattern::is_empty) {
            let message = "each names a `status`, a `location` or a `body`, and there is at least one";
            return Err(source.invalid(unknown.span(), Some("session.unknown"), message));
        }
        let accounts = match self.users {
            Some(file) => {
                let folder = Path::new(&source.file).parent().unwrap_or(Path::new(""));
                let read = Accounts::read(&folder.join(file.get_ref()));
                Some(read.map_err(|reason| source.invalid(file.span(), Some("session.users"), reason))?)
            }
            None => None,
        };
        let mut known: BTreeSet<String> = BUILT_IN.map(str::to_owned).into();
        known.extend(accounts.iter().flat_map(|accounts| accounts.columns.iter().cloned()));
        // Nobody keeps what registering captures.
        let register = checked(source, "register", self.register, &mut known.clone())?;
        let mut steps = |key: &str, list: Vec<Spanned<StepFile>>| checked(source, key, list, &mut known);
        let login = steps("login", self.login)?;
        // What a read captures is there for the writes after it, and the other way round.
        let read = steps("read", self.read)?;
        let write = steps("write", self.write)?;
        let logout = steps("logout", self.logout)?;
        let carrier = match self.carrier {
            CarrierFile::Default | CarrierFile::Word(CookieWord::Cookie) => Carrier::Cookie,
            CarrierFile::Header { header, from, prefix } => Carrier::Header { name: header, from, prefix },
        };
        Ok(SessionMapping {
            carrier,
            node: self.node,
            unknown: unknown.into_inner(),
            register,
            login,
            write,
            read,
            logout,
            accounts,
        })
    }
}

fn checked(
    source: &Source,
    key: &str,
    list: Vec<Spanned<StepFile>>,
    known: &mut BTreeSet<String>,
) -> Result<Vec<Step>, FileError> {
    let key = format!("session.{key}");
    let mut steps = Vec::new();
    let last = list.len();
    for (number, file) in (1..).zip(list) {
        let span = file.span();
        let invalid = |message: String| source.invalid(span.clone(), Some(&key), message);
        let step = file.into_inner().check().map_err(invalid)?;
        let used =
            [&step.path].into_iter().chain(step.headers.values()).chain(step.body.as_ref().map(|body| &body.template));
        for name in used.flat_map(Template::variables) {
            if !known.contains(name) {
                let names = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                return Err(invalid(format!("no step before captures `{name}`; known here: {names}")));
            }
        }
        if let Some(name) = step.capture.keys().find(|name| BUILT_IN.contains(&name.as_str())) {
            return Err(invalid(format!("`{name}` is a variable of every user; capture under another name")));
        }
        if number < last && !step.shows.is_nothing() {
            return Err(invalid("`owner`, `operations` and `counter` stand on the last step of a list".to_owned()));
        }
        known.extend(step.capture.keys().cloned());
        steps.push(step);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Evidence, OperationsShown};

    #[derive(Deserialize)]
    struct File {
        session: Spanned<MappingFile>,
    }

    const SHOP: &str = r#"
[session]
node = 'header "X-Served-By"'
unknown = [{ status = 401 }, { status = 303, location = "/login*" }]

[[session.login]]
get = "/login"
capture = { csrf = 'regex /name="_csrf" value="([^"]+)"/' }
[[session.login]]
post = "/login"
form = { user = "{{owner}}", password = "{{password}}", _csrf = "{{csrf}}" }
expect = { status = 303 }

[[session.write]]
post = "/cart/items"
headers = { X-CSRF-Token = "{{csrf}}" }
json = { sku = "{{op}}" }

[[session.read]]
get = "/cart"
capture = { csrf = 'jsonpath "$.csrf"' }
owner = 'jsonpath "$.user"'
operations = 'jsonpath "$.items[*]"'

[[session.logout]]
post = "/logout"
"#;

    fn mapping(text: &str) -> Result<SessionMapping, String> {
        let source = Source { name: "shop".into(), file: "shop.toml".into(), text: text.into() };
        let file: File = source.parse().map_err(|error| error.to_string())?;
        let span = file.session.span();
        file.session.into_inner().check(&source, span).map_err(|error| error.to_string())
    }

    #[test]
    fn the_mapping_of_a_shop_is_read() {
        let mapping = mapping(SHOP).unwrap();
        assert_eq!(
            mapping.evidence(),
            Evidence { shows_owner: true, operations: OperationsShown::Listed, logs_out: true }
        );
        let form = mapping.login[1].body.as_ref().unwrap();
        assert_eq!(form.template.to_string(), "_csrf={{csrf}}&password={{password}}&user={{owner}}");
        assert_eq!(mapping.write[0].body.as_ref().unwrap().template.to_string(), r#"{"sku":"{{op}}"}"#);
        let again: SessionMapping = serde_json::from_str(&serde_json::to_string(&mapping).unwrap()).unwrap();
        assert_eq!(again, mapping);
    }

    #[test]
    fn each_mistake_names_its_line_and_what_is_allowed() {
        let with = |from: &str, to: &str| mapping(&SHOP.replace(from, to)).unwrap_err();
        insta::assert_snapshot!([
            with("{{csrf}}\" }\nexpect", "{{token}}\" }\nexpect"),
            with("get = \"/cart\"", "get = \"/cart\"\nput = \"/cart\""),
            with("get = \"/cart\"", "get = \"cart\""),
            with("jsonpath \"$.user\"", "xpath \"//user\""),
            with("unknown = [{ status = 401 }, { status = 303, location = \"/login*\" }]", "unknown = [{}]"),
            with("unknown = [{ status = 401 }, { status = 303, location = \"/login*\" }]", ""),
            with("[[session.write]]", "[[session.register]]"),
            with("json = {", "form = { a = \"b\" }\njson = {"),
            with("capture = { csrf = 'jsonpath", "capture = { op = 'jsonpath"),
            with("post = \"/logout\"", "post = \"/logout\"\nwait = 3"),
            with("node = 'header \"X-Served-By\"'", "users = \"nobody.csv\""),
            with("[[session.logout]]", "[[session.read]]"),
        ]
        .join("\n"), @r#"
        shop.toml:9: `session.login`: no step before captures `token`; known here: `csrf`, `op`, `owner`, `password`
        shop.toml:19: `session.read`: a step has one of `get`, `post`, `put`, `patch`, `delete` with a path
        shop.toml:19: `session.read`: `cart` is not a path of the app: it begins with `/`
        shop.toml:22: `session.read[0].owner`: `xpath "//user"` is not a query; there are: status, header "Name", cookie "name", body, jsonpath "$.a", regex /a(b)/
        shop.toml:4: `session.unknown`: each names a `status`, a `location` or a `body`, and there is at least one
        shop.toml:2: `session`: it needs `unknown`: how the app answers a session that it does not know, such as [{ status = 401 }]
        shop.toml:2: `session`: it needs `[[session.write]]`: how a user changes the session
        shop.toml:14: `session.write`: a step has one of `form`, `json` and `body`
        shop.toml:19: `session.read`: `op` is a variable of every user; capture under another name
        shop.toml:27: `session.logout[0].wait`: unknown field `wait`, expected one of `get`, `post`, `put`, `patch`, `delete`, `headers`, `form`, `json`, `body`, `capture`, `expect`, `follow`, `owner`, `operations`, `ordered`, `counter`
        shop.toml:3: `session.users`: nobody.csv: No such file or directory (os error 2)
        shop.toml:19: `session.read`: `owner`, `operations` and `counter` stand on the last step of a list
        "#);
    }
}
