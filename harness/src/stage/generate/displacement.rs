//! How far a guidance rule moves the predictions.

use ndarray::{Array4, Axis, Zip};

use crate::guidance::{DISPLACEMENT, Guidance};
use crate::model::{ModelError, Network};
use crate::store::records::{MethodScores, Span};
use crate::uncertainty::{StepContext, Window};

use super::trajectory::BatchOutcome;

/// A rule, and how far it moved the predictions of each row.
pub(super) struct Measured {
    inner: Box<dyn Guidance>,
    moved: Vec<f64>,
}

impl Measured {
    pub(super) fn new(inner: Box<dyn Guidance>, n: usize) -> Self {
        Self { inner, moved: vec![0.0; n] }
    }

    /// What was measured; its evaluations are those of the rule.
    pub(super) fn close(self, outcome: &BatchOutcome) -> MethodScores {
        let mut nfe = outcome.nfe;
        nfe.trajectory = 0;
        MethodScores {
            method: DISPLACEMENT.to_owned(),
            span: Span::Window,
            score: self.moved,
            map: None,
            nfe,
            network_seconds: outcome.network_time.as_secs_f64(),
        }
    }
}

impl Guidance for Measured {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn window(&self) -> Option<Window> {
        self.inner.window()
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let rewritten = self.inner.rewrite(context, network)?;
        let rows = rewritten.axis_iter(Axis(0)).zip(context.epsilon.axis_iter(Axis(0)));
        for (sum, (after, before)) in self.moved.iter_mut().zip(rows) {
            Zip::from(&after).and(&before).for_each(|after, before| {
                *sum += (f64::from(*after) - f64::from(*before)).powi(2);
            });
        }
        Ok(rewritten)
    }
}
