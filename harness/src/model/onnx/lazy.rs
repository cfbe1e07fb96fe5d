//! Sessions over derived graphs, opened on first use.

use std::path::PathBuf;

use super::options::RuntimeOptions;
use super::session::{GraphSource, OnnxSession};
use crate::model::ModelError;

/// What a derived graph is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Dropout,
    Vjp,
}

/// Model and reason of a method that a bundle cannot serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unavailable {
    method: &'static str,
    model: String,
    reason: String,
}

impl Method {
    pub(super) fn unavailable(self, model: &str, reason: &str) -> Unavailable {
        let method = match self {
            Self::Dropout => "MC-Dropout",
            Self::Vjp => "the gradient of epsilon_hat",
        };
        Unavailable { method, model: model.to_owned(), reason: reason.to_owned() }
    }
}

impl Unavailable {
    fn error(&self) -> ModelError {
        ModelError::NotApplicable {
            method: self.method,
            model: self.model.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// A derived graph and, once it has been asked for, its session.
#[derive(Debug)]
pub(super) struct LazySession<G> {
    graph: Result<(PathBuf, G), Unavailable>,
    session: Option<OnnxSession>,
    options: RuntimeOptions,
}

impl<G> LazySession<G> {
    pub(super) fn missing(reason: Unavailable, options: &RuntimeOptions) -> Self {
        Self { graph: Err(reason), session: None, options: options.clone() }
    }

    /// A derived graph, not yet opened.
    pub(super) fn of(path: PathBuf, graph: G, options: &RuntimeOptions) -> Self {
        Self { graph: Ok((path, graph)), session: None, options: options.clone() }
    }

    /// What is known of the graph, where there is one.
    pub(super) fn graph(&self) -> Option<&G> {
        self.graph.as_ref().ok().map(|(_, graph)| graph)
    }

    pub(super) fn set(&mut self, path: PathBuf, graph: G) {
        self.session = None;
        self.graph = Ok((path, graph));
    }

    pub(super) fn refuse(&mut self, reason: Unavailable) {
        self.session = None;
        self.graph = Err(reason);
    }

    pub(super) fn unavailable(&self) -> Option<String> {
        self.graph.as_ref().err().map(|unavailable| unavailable.reason.clone())
    }

    /// The session, opened if it is not yet.
    pub(super) fn get(&mut self) -> Result<(&mut OnnxSession, &G), ModelError> {
        let (path, graph) = self.graph.as_ref().map_err(Unavailable::error)?;
        if self.session.is_none() {
            let name = path.display().to_string();
            self.session = Some(OnnxSession::open(&name, GraphSource::File(path), &self.options)?);
        }
        match self.session.as_mut() {
            Some(session) => Ok((session, graph)),
            None => Err(ModelError::Runtime {
                context: path.display().to_string(),
                message: "the session is not open".to_owned(),
            }),
        }
    }
}
