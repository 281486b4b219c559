//! A reply as queries see it.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use crate::mapping::Answered;
use crate::traffic::http::reply::Reply;

/// A reply as queries see it. Its body is read as JSON at most once.
pub struct Seen<'a> {
    reply: &'a Reply<'a>,
    json: OnceCell<Option<Value>>,
}

impl<'a> Seen<'a> {
    /// A reply whose body has not been read yet.
    pub const fn new(reply: &'a Reply<'a>) -> Self {
        Self { reply, json: OnceCell::new() }
    }
}

impl Answered for Seen<'_> {
    fn status(&self) -> u16 {
        self.reply.status
    }

    fn header(&self, name: &str) -> Option<String> {
        self.reply.header(name)
    }

    fn cookie(&self, name: &str) -> Option<String> {
        self.reply.set_cookies.iter().find_map(|cookie| {
            let (known, rest) = std::str::from_utf8(cookie).ok()?.split_once('=')?;
            (known.trim() == name).then(|| rest.split(';').next().unwrap_or_default().trim().to_owned())
        })
    }

    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.reply.body)
    }

    fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| serde_json::from_slice(&self.reply.body).ok()).as_ref()
    }
}
