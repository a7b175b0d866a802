//! How many hosts may be changed at once, and whether enough of them went well: `minimumHealthyHosts`, for the fleet and for each
//! zone. Asked with counts, before each host and at the end; knows nothing of hosts.
//!
//! A host may be begun only while that cannot take the number of healthy hosts below the minimum, so as one ends well the next begins: a
//! window that slides. Hosts that were unhealthy before lower nothing, and so are begun whatever the minimum says.

use croft_proto::deploy::{Fleet, HealthRule, MinimumHealthyHosts, MinimumHealthyHostsType, Was};

/// So many healthy hosts are asked for that none could be changed: AWS's `HEALTH_CONSTRAINTS_INVALID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{minimum} of {total} hosts must stay healthy, so that none can be changed")]
pub struct Invalid {
    /// So many.
    pub minimum: u32,
    /// Of so many.
    pub total: u32,
}

/// Hosts by how they were before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Healthy.
    pub healthy: u32,
    /// Not.
    pub unhealthy: u32,
}

impl Count {
    /// One more.
    pub fn add(&mut self, was: Was) {
        *self.of(was) += 1;
    }

    /// One less.
    pub fn take(&mut self, was: Was) {
        let count = self.of(was);
        *count = count.saturating_sub(1);
    }

    const fn of(&mut self, was: Was) -> &mut u32 {
        match was {
            Was::Healthy => &mut self.healthy,
            Was::Unhealthy => &mut self.unhealthy,
        }
    }

    /// Both.
    #[must_use]
    pub const fn all(self) -> u32 {
        self.healthy + self.unhealthy
    }
}

/// How it is with the hosts of a fleet, or of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many there are.
    pub fleet: Fleet,
    /// Begun, and not over.
    pub in_progress: Count,
    /// Over, not well.
    pub failed: Count,
    /// Over, well.
    pub succeeded: Count,
}

/// Whether a host may be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It may.
    Now,
    /// Not before another one is over.
    Later,
    /// It may not, and nothing that is in progress can change that.
    Never,
}

impl Tally {
    /// Of hosts of which none has begun.
    #[must_use]
    pub fn of(fleet: Fleet) -> Self {
        Self {
            fleet,
            ..Self::default()
        }
    }

    /// Hosts that are healthy now: those that were and have not been begun, and those that went well.
    #[must_use]
    pub const fn healthy(&self) -> u32 {
        (self.fleet.healthy_before + self.succeeded.unhealthy)
            .saturating_sub(self.in_progress.healthy + self.failed.healthy)
    }
}

/// The rule for so many hosts.
///
/// **Source.** CodeDeploy's user guide, "Minimum healthy hosts". A percentage of one host means none here, so that `HalfAtATime` can deploy
/// to a single host; at AWS that is refused.
///
/// # Errors
/// When no host could ever be begun.
pub fn rule(hosts: MinimumHealthyHosts, total: u32) -> Result<HealthRule, Invalid> {
    let minimum = match hosts.counts {
        MinimumHealthyHostsType::HostCount => hosts.value,
        MinimumHealthyHostsType::FleetPercent if total == 1 => 0,
        MinimumHealthyHostsType::FleetPercent => percent_of(hosts.value, total),
        MinimumHealthyHostsType::MostConcurrency => total.saturating_sub(hosts.value.max(1)),
    };
    if minimum >= total {
        return Err(Invalid { minimum, total });
    }
    Ok(HealthRule {
        minimum,
        at_once_max: total - minimum,
    })
}

/// Rounded up.
fn percent_of(percent: u32, total: u32) -> u32 {
    let hundredths = u64::from(percent) * u64::from(total);
    u32::try_from(hundredths.div_ceil(100)).unwrap_or(u32::MAX)
}

/// Whether the next host may be begun.
#[must_use]
pub const fn begin(rule: HealthRule, tally: &Tally, was: Was) -> Begin {
    let is_lowering = matches!(was, Was::Healthy);
    let is_held = is_lowering && tally.healthy() <= rule.minimum;
    let in_progress = tally.in_progress.all();
    if is_held && in_progress == 0 {
        return Begin::Never;
    }
    if is_held || in_progress >= rule.at_once_max {
        return Begin::Later;
    }
    Begin::Now
}

/// Both rules at once: the stricter answer.
#[must_use]
pub fn begin_in_zone(
    fleet: (HealthRule, &Tally),
    zone: Option<(HealthRule, &Tally)>,
    was: Was,
) -> Begin {
    let of_fleet = begin(fleet.0, fleet.1, was);
    let Some((rule, tally)) = zone else {
        return of_fleet;
    };
    match (of_fleet, begin(rule, tally, was)) {
        (Begin::Now, Begin::Now) => Begin::Now,
        (Begin::Never, _) | (_, Begin::Never) => Begin::Never,
        (Begin::Later, _) | (_, Begin::Later) => Begin::Later,
    }
}

/// Whether enough went well, now that all are over. Of hosts that are not changed those that are healthy count; but where some are
/// changed, one of them at least must have gone well.
#[must_use]
pub fn is_met(rule: HealthRule, tally: &Tally) -> bool {
    let succeeded = tally.succeeded.all();
    let attempted = succeeded + tally.failed.all();
    let least = u32::from(attempted > 0);
    succeeded >= least && succeeded + tally.fleet.bystanders >= rule.minimum.max(1)
}

#[cfg(test)]
mod tests;
