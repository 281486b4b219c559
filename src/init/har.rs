//! A visit as browsers save it (HTTP Archive 1.2): the requests to one host, in their order, as far as they can be used.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use url::{Url, form_urlencoded};

/// A file that is no recording, or has nothing that can be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct RecordingError(String);

/// The requests of a visit that matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recording {
    /// In their order.
    pub exchanges: Vec<Recorded>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// A request and its reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// In capitals.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// What was sent.
    pub body: Body,
    /// The reply's status.
    pub status: u16,
    /// The reply's headers; names in small letters.
    pub replied: Vec<(String, String)>,
    /// Where the reply leads.
    pub location: Option<String>,
    /// The cookies that the reply sets.
    pub set_cookies: Vec<(String, String)>,
    /// The reply's body, if it is text.
    pub text: String,
}

/// What a request carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// Names and values of a form.
    Form(Vec<(String, String)>),
    /// JSON.
    Json(Value),
    /// Anything else.
    Text(String),
}

impl Recorded {
    /// The path without its query.
    #[must_use]
    pub fn plain_path(&self) -> &str {
        self.path.split('?').next().unwrap_or("/")
    }

    /// Whether it may have changed something.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    cookies: Vec<Pair>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    params: Vec<Pair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status: u16,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    cookies: Vec<Pair>,
    #[serde(default)]
    content: Content,
    #[serde(rename = "redirectURL", default)]
    redirect_url: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    #[serde(default)]
    mime_type: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    encoding: String,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    #[serde(default)]
    value: String,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// When the text is no HTTP Archive, or has no request that could be a log-in.
    pub fn read(text: &str) -> Result<Self, RecordingError> {
        // Some browsers put a mark of the byte order first.
        let archive: Archive = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| RecordingError(format!("it is no HTTP Archive as browsers save it: {error}")))?;
        let entries: Vec<(Url, Entry)> = archive
            .log
            .entries
            .into_iter()
            .filter_map(|entry| Some((Url::parse(&entry.request.url).ok()?, entry)))
            .filter(|(url, _)| matches!(url.scheme(), "http" | "https"))
            .collect();
        let host_of = |url: &Url| url.host_str().unwrap_or_default().to_owned();
        let changes = entries.iter().find(|(_, entry)| entry.request.method == "POST");
        let Some(host) = changes.map(|(url, _)| host_of(url)) else {
            return Err(RecordingError(
                "no request of it is a POST, so nobody logs in: record from before the log-in until after the log-out"
                    .to_owned(),
            ));
        };
        let mut recording = Self::default();
        let mut elsewhere: Vec<String> = Vec::new();
        let mut assets = 0;
        let mut has_carrier = false;
        for (url, entry) in entries {
            if host_of(&url) != host {
                let other = host_of(&url);
                if !elsewhere.contains(&other) {
                    elsewhere.push(other);
                }
                continue;
            }
            has_carrier |= !entry.request.cookies.is_empty() || !entry.response.cookies.is_empty();
            if is_asset(&url, &entry) {
                assets += 1;
                continue;
            }
            let exchange = recorded(&url, entry, &mut recording.notes);
            has_carrier |= !exchange.set_cookies.is_empty()
                || exchange.headers.iter().any(|(name, _)| name == "cookie" || name == "authorization");
            recording.exchanges.push(exchange);
        }
        if !elsewhere.is_empty() {
            recording.notes.push(format!("requests to other hosts than {host} are left out: {}", elsewhere.join(", ")));
        }
        if assets > 0 {
            recording.notes.push(format!("{assets} requests for images, styles, scripts and fonts are left out"));
        }
        if !has_carrier {
            recording.notes.push(
                "there are no cookies in it: if the app has some, save the recording with its sensitive data; else say with `carrier` which header carries the session"
                    .to_owned(),
            );
        }
        Ok(recording)
    }
}

fn is_asset(url: &Url, entry: &Entry) -> bool {
    let ending = url.path().rsplit_once('.').map_or("", |(_, ending)| ending).to_lowercase();
    let kind = entry.response.content.mime_type.to_lowercase();
    let kinds = ["image/", "font/", "text/css", "javascript", "audio/", "video/"];
    let endings =
        ["css", "js", "mjs", "png", "jpg", "jpeg", "gif", "svg", "ico", "woff", "woff2", "ttf", "map", "webp"];
    entry.request.method == "GET"
        && (kinds.iter().any(|word| kind.contains(word)) || endings.contains(&ending.as_str()))
}

fn recorded(url: &Url, entry: Entry, notes: &mut Vec<String>) -> Recorded {
    let Entry { request, response } = entry;
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let called = format!("{} {}", request.method, url.path());
    let named = |pairs: Vec<Pair>| -> Vec<(String, String)> {
        pairs.into_iter().map(|pair| (pair.name.to_lowercase(), pair.value)).collect()
    };
    let headers = named(request.headers);
    let replied = named(response.headers);
    let header = |name: &str| replied.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let location = header("location").or(Some(response.redirect_url)).filter(|to| !to.is_empty());
    let mut set_cookies: Vec<(String, String)> =
        response.cookies.into_iter().map(|cookie| (cookie.name, cookie.value)).collect();
    if set_cookies.is_empty() {
        // Several cookies stand in one header of the archive, a line each.
        let lines = replied.iter().filter(|(name, _)| name == "set-cookie").flat_map(|(_, value)| value.lines());
        let pairs = lines.filter_map(|line| line.split(';').next()?.split_once('='));
        set_cookies = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect();
    }
    let text = text_of(response.content).unwrap_or_else(|why| {
        notes.push(format!("the reply to {called} is left out: {why}"));
        String::new()
    });
    let body = request.post_data.map_or(Body::None, |data| body_of(data, &called, notes));
    Recorded {
        method: request.method.to_uppercase(),
        path,
        headers,
        body,
        status: response.status,
        replied,
        location: location.map(|to| path_of(url, &to)),
        set_cookies,
        text,
    }
}

/// The path that a redirect leads to.
fn path_of(url: &Url, to: &str) -> String {
    url.join(to).map_or_else(|_| to.to_owned(), |to| to.path().to_owned())
}

fn text_of(content: Content) -> Result<String, &'static str> {
    let text = match content.encoding.as_str() {
        "base64" => {
            let bytes = BASE64_STANDARD.decode(content.text.trim()).map_err(|_| "its base64 is damaged")?;
            let is_compressed = bytes.starts_with(&[0x1f, 0x8b]) || bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
            let why = if is_compressed { "its body is compressed" } else { "its body is binary" };
            String::from_utf8(bytes).map_err(|_| why)?
        }
        _ => content.text,
    };
    if text.contains('\0') { Err("its body is binary") } else { Ok(text) }
}

fn body_of(data: PostData, called: &str, notes: &mut Vec<String>) -> Body {
    let kind = data.mime_type.to_lowercase();
    if kind.contains("json")
        && let Ok(value) = serde_json::from_str(&data.text)
    {
        return Body::Json(value);
    }
    if kind.contains("x-www-form-urlencoded") || (kind.is_empty() && !data.params.is_empty()) {
        // The parameters of some browsers are still encoded; the text always is.
        let pairs: Vec<(String, String)> = if data.text.is_empty() {
            data.params.into_iter().map(|pair| (pair.name, pair.value)).collect()
        } else {
            form_urlencoded::parse(data.text.as_bytes()).into_owned().collect()
        };
        return Body::Form(pairs);
    }
    if kind.contains("multipart/") || data.text.contains('\0') {
        notes.push(format!(
            "the body of {called} is left out: it is {}",
            if kind.is_empty() { "binary" } else { &kind }
        ));
        return Body::None;
    }
    if data.text.is_empty() { Body::None } else { Body::Text(data.text) }
}
