//! Writes a target file for a system of the user's own, from its Compose files and from what a browser recorded of a visit. What
//! is guessed is marked in the file, and what was left out is said. It starts nothing.

mod har;
mod mapping;
mod services;
mod source_of;

use std::fmt::Write as _;

pub use har::Recording;
pub use services::{Service, services};

/// A target file and what there is to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// The text of the file.
    pub text: String,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// For a system that is described by no Compose file.
const ATTACHED: &str = "\n# Where it runs: an endpoint, and for each app node its address and what kills and starts it.
[attached]
endpoint = \"127.0.0.1:8080\"  # a guess
# ready = \"/health\"
[[attached.app]]
# address = \"10.0.0.11:8000\"
# kill = \"ssh web1 sudo systemctl kill -s KILL shop\"
# start = \"ssh web1 sudo systemctl start shop\"
[[attached.app]]
";

/// Drafts a target file. `compose` are the files' names as the target file will give them, and their services.
#[must_use]
pub fn draft(compose: Option<(&[String], &[Service])>, recording: Option<&Recording>) -> Draft {
    let mut draft = Draft::default();
    let services = compose.map(|(_, services)| services::Roles::guess(services));
    let has_store = services.as_ref().is_some_and(|roles| !roles.stores.is_empty());
    let strategy = if has_store { "store" } else { "none" };
    let _ = write!(
        draft.text,
        "# A guess is marked as one. `steadfast probe` of this file says what is wrong with it.\n\
         # Where sessions live: none, sticky-cookie, sticky-ip, replicate-all, primary-backup, store, client-side.\n\
         strategy = \"{strategy}\"  # a guess\n\
         shows = \"Our system as we deploy it.\"\n"
    );
    if let (Some((files, _)), Some(roles)) = (compose, &services) {
        roles.write(files, &mut draft);
    } else {
        draft.text.push_str(ATTACHED);
        let note = "say in `[attached]` where the system runs; `--compose` takes it from Compose files";
        draft.notes.push(note.to_owned());
    }
    match recording {
        Some(recording) => mapping::write(recording, &mut draft),
        None => draft.text.push_str(
            "\n# How a user logs in, writes, reads and logs out; `steadfast init --har` writes it from a browser's recording.\n# [session]\n",
        ),
    }
    draft
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    // Queries have double quotes, which need no escapes between single ones.
    if text.contains('"') && !text.contains(['\'', '\n', '\r']) {
        return format!("'{text}'");
    }
    toml::Value::String(text.to_owned()).to_string()
}
