//! Chance that can be repeated: a seed gives the same draws on every machine. Handed to the generators of traffic; nothing but the
//! simulation draws.

/// A stream of draws. **Source.** SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Another stream, that shares nothing with this one.
    pub(crate) fn split(&mut self) -> Self {
        Self::new(self.next())
    }

    /// Above 0, below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A wait, of that mean.
    pub(crate) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// A count, of that mean; a rounded normal above 30.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0);
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }

    /// The size of a burst, at least 1, of that mean.
    pub(crate) fn geometric(&mut self, mean: f64) -> f64 {
        if mean <= 1.0 {
            return 1.0;
        }
        (self.unit().ln() / (1.0 - 1.0 / mean).ln()).floor() + 1.0
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(draws: u32, mut draw: impl FnMut() -> f64) -> f64 {
        (0..draws).map(|_| draw()).sum::<f64>() / f64::from(draws)
    }

    #[test]
    fn draws_have_the_means_that_were_asked_for() {
        let mut random = Random::new(7);
        for wanted in [0.01, 0.5, 9.0, 90.0] {
            let got = mean(200_000, || random.poisson(wanted));
            assert!((got / wanted - 1.0).abs() < 0.1, "poisson {wanted}: {got}");
        }
        for wanted in [1.0, 5.0, 20.0] {
            let got = mean(200_000, || random.geometric(wanted));
            assert!(
                (got / wanted - 1.0).abs() < 0.02,
                "geometric {wanted}: {got}"
            );
        }
        let got = mean(200_000, || random.exponential(3.0));
        assert!((got / 3.0 - 1.0).abs() < 0.02, "exponential: {got}");
    }

    #[test]
    fn a_seed_gives_the_same_draws_again() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            [random.unit(), random.poisson(50.0), random.geometric(5.0)]
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }
}
