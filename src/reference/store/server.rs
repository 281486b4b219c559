//! The store's server: a table in memory, and an append-only file if it is durable.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::append_only::AppendOnly;
use super::protocol::{Reply, Request};
use crate::reference::app::session::SessionId;
use crate::reference::config::{Durability, StoreConfig};
use crate::reference::counters::STORE;
use crate::reference::link::{self, Misunderstood, decode, encode};
use crate::reference::listener::{listen, serve_each};
use bytes::Bytes;

/// All sessions.
struct Table {
    sessions: HashMap<SessionId, Kept>,
    file: Option<AppendOnly>,
    /// How long a session stays that is not asked for; `None`: for ever.
    expires_after: Option<Duration>,
}

/// A session, and when it was last asked for or saved.
struct Kept {
    bytes: Bytes,
    used: Instant,
}

impl Table {
    fn open(durability: Durability, path: &Path, expires_after: Option<Duration>) -> std::io::Result<Self> {
        let mut sessions = HashMap::new();
        let file = match durability {
            Durability::None => None,
            Durability::AppendOnly => Some(AppendOnly::open(path, |request| drop(apply(&mut sessions, request)))?),
        };
        Ok(Self { sessions, file, expires_after })
    }

    fn answer(&mut self, request: Request) -> Reply {
        if let (Some(file), Request::Put(..) | Request::Remove(_)) = (&mut self.file, &request)
            && let Err(error) = file.append(&request)
        {
            return Reply::Failed(format!("the append-only file: {error}"));
        }
        if let (Some(after), Request::Get(id) | Request::Remove(id)) = (self.expires_after, &request)
            && self.sessions.get(id).is_some_and(|kept| kept.used.elapsed() >= after)
        {
            self.sessions.remove(id);
        }
        apply(&mut self.sessions, request)
    }
}

fn apply(sessions: &mut HashMap<SessionId, Kept>, request: Request) -> Reply {
    match request {
        Request::Ping => Reply::Done,
        Request::Get(id) => Reply::Found(sessions.get_mut(&id).map(|kept| {
            kept.used = Instant::now();
            kept.bytes.clone()
        })),
        Request::Put(id, bytes) => {
            sessions.insert(id, Kept { bytes, used: Instant::now() });
            Reply::Done
        }
        Request::Remove(id) => Reply::Removed(sessions.remove(&id).is_some()),
    }
}

/// Serves app nodes for as long as the future is polled.
///
/// # Errors
/// When its port is in use or its file cannot be used.
pub async fn run(config: &StoreConfig, file: &Path) -> Result<(), String> {
    let expires_after = (config.expires_after_ms > 0).then(|| Duration::from_millis(config.expires_after_ms));
    let table =
        Table::open(config.durability, file, expires_after).map_err(|error| format!("{}: {error}", file.display()))?;
    let listener = listen(config.listen).await?;
    let table = Rc::new(RefCell::new(table));
    let serve = |stream, _| {
        let table = Rc::clone(&table);
        async move {
            let answer = async |message: Bytes| {
                let request = decode(&message)?;
                Ok::<_, Misunderstood>(encode(&table.borrow_mut().answer(request)))
            };
            link::serve(stream, &STORE, answer).await;
        }
    };
    serve_each(listener, serve).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{BINARY, survives};

    #[test]
    fn damaged_frames_end_a_connection_and_nothing_else() {
        let id = SessionId::fresh();
        let requests =
            [Request::Ping, Request::Put(id, Bytes::from_static(b"state")), Request::Get(id), Request::Remove(id)];
        let mut frames = Vec::new();
        for (number, request) in (1u64..).zip(&requests) {
            let message = encode(request);
            let length = u32::try_from(8 + message.len()).unwrap();
            frames.extend([&length.to_be_bytes()[..], &number.to_be_bytes(), &message].concat());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        survives(&[frames], BINARY, |bytes| {
            let mut table = Table { sessions: HashMap::new(), file: None, expires_after: None };
            let table = RefCell::new(&mut table);
            let stream = tokio::io::join(std::io::Cursor::new(bytes.to_vec()), tokio::io::sink());
            let answer =
                async |message: Bytes| Ok::<_, Misunderstood>(encode(&table.borrow_mut().answer(decode(&message)?)));
            runtime.block_on(link::serve(stream, &STORE, answer));
        });
    }
}
