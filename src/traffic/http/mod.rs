//! Requests and replies on the wire: connections that do not wait, and the parsing of replies. It knows neither users nor
//! sessions; what a reply means is for [`super::user`] to say.

pub mod arrival;
pub mod carrier;
pub mod client;
pub mod connection;
pub mod reply;
