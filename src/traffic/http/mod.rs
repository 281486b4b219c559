//! HTTP requests and replies: non-blocking connections, and the parsing of replies. It knows neither users nor
//! sessions; [`super::user`] interprets the replies.

pub mod arrival;
pub mod client;
pub mod connection;
pub mod reply;
pub mod transport;
