//! What a pull has done so far, all layers together. Receives the engine's messages, hands out lines for a person.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::CreateImageInfo;

/// A line a second is enough to see that it goes on.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// One layer.
#[derive(Debug, Default)]
struct Layer {
    done_bytes: u64,
    total_bytes: u64,
    complete: bool,
}

/// All layers of one image.
#[derive(Debug, Default)]
pub(crate) struct PullProgress {
    layers: BTreeMap<String, Layer>,
    said: Option<Duration>,
}

impl PullProgress {
    /// Takes in one message; a line when it is time for one. `now` counts from the pull's start.
    pub(crate) fn step(&mut self, message: &CreateImageInfo, now: Duration) -> Option<String> {
        self.take(message)?;
        if self
            .said
            .is_some_and(|said| now.saturating_sub(said) < LINE_EVERY)
        {
            return None;
        }
        self.said = Some(now);
        Some(self.line())
    }

    /// The last line.
    pub(crate) fn summary(&self, took: Duration) -> String {
        let bytes: u64 = self.layers.values().map(|layer| layer.total_bytes).sum();
        let (count, seconds) = (self.layers.len(), took.as_secs_f64());
        let layers = if count == 1 { "layer" } else { "layers" };
        format!(
            "{count} {layers}, {} MiB fetched in {seconds:.1} s",
            mebibytes(bytes)
        )
    }

    fn take(&mut self, message: &CreateImageInfo) -> Option<()> {
        let (id, status) = (message.id.as_ref()?, message.status.as_deref()?);
        // This one is about the whole image; its id is the tag.
        if status.starts_with("Pulling from") {
            return None;
        }
        let layer = self.layers.entry(id.clone()).or_default();
        let detail = message.progress_detail.as_ref();
        match status {
            "Downloading" => {
                layer.done_bytes =
                    bytes(detail.and_then(|detail| detail.current)).unwrap_or(layer.done_bytes);
                layer.total_bytes =
                    bytes(detail.and_then(|detail| detail.total)).unwrap_or(layer.done_bytes);
            }
            "Download complete" => layer.done_bytes = layer.total_bytes,
            "Pull complete" | "Already exists" => layer.complete = true,
            _ => {}
        }
        Some(())
    }

    fn line(&self) -> String {
        let done: u64 = self.layers.values().map(|layer| layer.done_bytes).sum();
        let total: u64 = self.layers.values().map(|layer| layer.total_bytes).sum();
        let complete = self.layers.values().filter(|layer| layer.complete).count();
        let (done, total) = (mebibytes(done), mebibytes(total));
        format!(
            "{done}/{total} MiB, {complete} of {} layers",
            self.layers.len()
        )
    }
}

fn bytes(count: Option<i64>) -> Option<u64> {
    count
        .and_then(|count| u64::try_from(count).ok())
        .filter(|count| *count > 0)
}

/// Rounded up, so that a small layer is not nothing.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    fn message(id: &str, status: &str, current: i64, total: i64) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_string()),
            status: Some(status.to_string()),
            progress_detail: Some(ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            error_detail: None,
        }
    }

    #[test]
    fn layers_are_added_up_and_lines_come_once_a_second() {
        let mut progress = PullProgress::default();
        let at = Duration::from_millis;
        assert_eq!(
            progress.step(&message("latest", "Pulling from library/x", 0, 0), at(0)),
            None
        );
        assert_eq!(
            progress
                .step(&message("a", "Pulling fs layer", 0, 0), at(1))
                .unwrap(),
            "0/0 MiB, 0 of 1 layers"
        );
        assert_eq!(
            progress.step(&message("b", "Already exists", 0, 0), at(2)),
            None
        );
        assert_eq!(
            progress.step(&message("a", "Downloading", 3 << 20, 12 << 20), at(500)),
            None
        );
        let line = progress
            .step(&message("c", "Downloading", 1 << 20, 22 << 20), at(1001))
            .unwrap();
        assert_eq!(line, "4/34 MiB, 1 of 3 layers");
        assert_eq!(
            progress.step(&message("a", "Download complete", 0, 0), at(1500)),
            None
        );
        let line = progress
            .step(&message("a", "Pull complete", 0, 0), at(2500))
            .unwrap();
        assert_eq!(line, "13/34 MiB, 2 of 3 layers");
        assert_eq!(
            progress.summary(at(2600)),
            "3 layers, 34 MiB fetched in 2.6 s"
        );
    }
}
