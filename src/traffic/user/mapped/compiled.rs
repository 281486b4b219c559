//! Steps of a mapping with their variables by their places, so that writing a request looks up no name.

use crate::history::OperationId;
use crate::mapping::{Encoding, Method, Piece, Query, ReplyPattern, Shows, Step, Template};
use crate::traffic::user::made_up;

/// A step with its variables by their places.
#[derive(Clone, Debug)]
pub struct CompiledStep {
    pub method: Method,
    pub path: Vec<CompiledPiece>,
    pub headers: Vec<(String, Vec<CompiledPiece>)>,
    pub body: Option<(Encoding, Vec<CompiledPiece>)>,
    pub capture: Vec<(usize, Query)>,
    pub expect: Option<ReplyPattern>,
    pub follow: bool,
    pub shows: Shows,
}

#[derive(Clone, Debug)]
pub enum CompiledPiece {
    Text(Vec<u8>),
    Variable(usize),
}

/// The values of a user's variables in one session, by their places.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// By their places.
    pub values: Vec<Box<str>>,
    /// The value of the header that carries the session; empty where cookies do, or before the log-in.
    pub carried: Box<str>,
}

impl Variables {
    /// Those of somebody to whom the app never gave a session.
    #[must_use]
    pub fn made_up(&self) -> Self {
        Self { carried: made_up(&self.carried).into(), ..self.clone() }
    }

    /// Gives a variable a value.
    pub fn set(&mut self, place: usize, value: String) {
        if let Some(slot) = self.values.get_mut(place) {
            *slot = value.into();
        }
    }
}

/// Writes pieces, the values of variables by `escape`.
pub fn put(
    pieces: &[CompiledPiece],
    variables: &Variables,
    id: OperationId,
    into: &mut Vec<u8>,
    escape: impl Fn(&str, &mut Vec<u8>),
) {
    for piece in pieces {
        match piece {
            CompiledPiece::Text(text) => into.extend_from_slice(text),
            CompiledPiece::Variable(super::OP) => escape(&id.to_string(), into),
            CompiledPiece::Variable(place) => {
                escape(variables.values.get(*place).map(Box::as_ref).unwrap_or_default(), into);
            }
        }
    }
}

/// A value within a line of a request's head: a captured line break must not end the head.
pub fn one_line(value: &str, into: &mut Vec<u8>) {
    into.extend(value.bytes().filter(|byte| !byte.is_ascii_control()));
}

impl CompiledStep {
    /// With its names in the list of all names.
    pub fn of(step: &Step, names: &mut Vec<String>) -> Self {
        Self {
            method: step.method,
            path: compiled(&step.path, names),
            headers: step.headers.iter().map(|(name, value)| (name.clone(), compiled(value, names))).collect(),
            body: step.body.as_ref().map(|body| (body.encoding, compiled(&body.template, names))),
            capture: step.capture.iter().map(|(name, query)| (place_of(name, names), query.clone())).collect(),
            expect: step.expect.clone(),
            follow: step.follow,
            shows: step.shows.clone(),
        }
    }
}

fn compiled(template: &Template, names: &mut Vec<String>) -> Vec<CompiledPiece> {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => CompiledPiece::Text(text.clone().into_bytes()),
        Piece::Variable(name) => CompiledPiece::Variable(place_of(name, names)),
    };
    template.pieces().iter().map(piece).collect()
}

fn place_of(name: &str, names: &mut Vec<String>) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}
