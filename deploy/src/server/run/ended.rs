//! What is recorded at a deployment's end that only this server knows: how the detectors stood that it had watch. Given to what is about to be
//! appended, whoever ended the deployment; decides nothing.

use croft_proto::deploy::{DeploymentEvent, Watched};

use super::Loop;
use crate::intent::{Intent, Recorded};

/// Most bytes of it, beside an error and a finding in one event.
const WATCH_BYTES_MAX: usize = 8 << 10;

impl Loop {
    /// The same, with how the detectors stand of a deployment that it ends.
    pub(super) fn seen(&self, mut intents: Vec<Intent>) -> Vec<Intent> {
        for intent in &mut intents {
            let id = super::deployment_in(std::slice::from_ref(intent));
            let Recorded::Deployment(event) = &mut intent.event else {
                continue;
            };
            if let (DeploymentEvent::Ended { watch, .. }, Some(id)) = (&mut **event, id) {
                let shown = self.verdicts.shown(&id, self.parts.clock.now());
                *watch = shown.map(short).map(Box::new);
            }
        }
        intents
    }
}

/// Without its curves, which a finding has; and without more queries than fit.
fn short(mut watch: Watched) -> Watched {
    for metric in &mut watch.metrics {
        metric.curve.clear();
    }
    let is_long = |watch: &Watched| {
        let json = serde_json::to_vec(watch);
        json.is_ok_and(|json| json.len() > WATCH_BYTES_MAX)
    };
    while is_long(&watch) && watch.queries.pop().is_some() {}
    if is_long(&watch) {
        (watch.metrics, watch.holds) = (Vec::new(), Vec::new());
    }
    watch
}

#[cfg(test)]
mod tests {
    use croft_proto::deploy::WatchedQuery;

    use super::*;

    #[test]
    fn what_is_recorded_of_a_watch_fits_beside_all_else() {
        let query = |number: usize| WatchedQuery {
            name: format!("{number:0200}"),
            kind: "alarm".into(),
            state: "OK".into(),
            value: Some(1.0),
        };
        let few = Watched {
            queries: (0..3).map(query).collect(),
            ..Watched::default()
        };
        assert_eq!(short(few.clone()), few);
        let many = Watched {
            queries: (0..100).map(query).collect(),
            ..Watched::default()
        };
        let short = short(many);
        assert!((10..100).contains(&short.queries.len()));
        assert!(serde_json::to_vec(&short).unwrap().len() <= WATCH_BYTES_MAX);
    }
}
