//! What a container may use of its machine. Parsed from the user's words, handed to the engine.

/// Threads count too. Half of the smallest process table a kernel has: a fork bomb stops, a big parallel build does not.
pub const PROCESSES_MAX: u32 = 16_384;
/// Browsers and databases need more than the engine's 64 MiB; memory that is not touched costs nothing.
pub const SHARED_MEMORY_BYTES: u64 = 1 << 30;
/// Engines refuse less than this.
const MEMORY_BYTES_MIN: u64 = 6 << 20;

/// What one container may use. `None` is as much as the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes, swap included. A process beyond it is killed, which shows as exit status 137.
    pub memory_bytes: Option<u64>,
    /// Thousandths of one processor's time.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub processes_max: u32,
    /// Size of `/dev/shm` in bytes.
    pub shared_memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: None,
            cpu_millis: None,
            processes_max: PROCESSES_MAX,
            shared_memory_bytes: SHARED_MEMORY_BYTES,
        }
    }
}

/// Bytes of memory out of `2g`, `512m`, `1024k` or a plain number, as `docker run --memory` reads them.
///
/// # Errors
/// A sentence for the user.
pub fn parse_memory_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not an amount of memory: write 512m or 2g");
    let lower = text.trim().to_ascii_lowercase();
    let plain = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match plain.char_indices().last() {
        Some((at, 'k')) => (&plain[..at], 10),
        Some((at, 'm')) => (&plain[..at], 20),
        Some((at, 'g')) => (&plain[..at], 30),
        _ => (plain, 0),
    };
    let number: u64 = digits.parse().map_err(|_not_a_number| wrong())?;
    let bytes = number
        .checked_mul(1 << shift)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(wrong)?;
    if bytes < MEMORY_BYTES_MIN {
        return Err(format!(
            "{text} of memory is too little: a container needs at least 6m"
        ));
    }
    Ok(bytes)
}

/// Thousandths of a processor out of `2`, `1.5` or `0.25`, as `docker run --cpus` reads them.
///
/// # Errors
/// A sentence for the user.
pub fn parse_cpu_millis(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not a number of processors: write 2 or 0.5");
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    if part.is_empty() || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_not_a_number| wrong())?;
    let part: u32 = format!("{part:0<3}")
        .parse()
        .map_err(|_not_a_number| wrong())?;
    let millis = whole
        .checked_mul(1000)
        .and_then(|millis| millis.checked_add(part))
        .ok_or_else(wrong)?;
    if millis < 10 {
        return Err(format!(
            "{text} processors are too few: a container needs at least 0.01"
        ));
    }
    Ok(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_docker_reads_it() {
        for (text, bytes) in [
            ("2g", 2 << 30),
            ("512M", 512 << 20),
            ("8192k", 8 << 20),
            ("1gb", 1 << 30),
            ("6291456", 6 << 20),
        ] {
            assert_eq!(parse_memory_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "g", "-1g", "1.5g", "two", "99999999999g", "4m", "1"] {
            assert!(parse_memory_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_are_read_to_the_thousandth() {
        for (text, millis) in [("2", 2000), ("0.5", 500), ("1.25", 1250), ("0.010", 10)] {
            assert_eq!(parse_cpu_millis(text), Ok(millis), "{text}");
        }
        for text in [
            "",
            ".5",
            "1.",
            "1.2345",
            "-1",
            "a",
            "0",
            "0.001",
            "9999999999",
            "1.+5",
        ] {
            assert!(parse_cpu_millis(text).is_err(), "{text}");
        }
    }
}
