//! Pure: chance from a seed. The same seed and the same question give the same answer, in any
//! order, so that a simulated day can be repeated and any moment of it asked for alone.

/// Mixes a number thoroughly (the finaliser of SplitMix64, Steele et al. 2014).
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A seed made of a seed and what it is for, such as a device id.
pub(crate) fn seed_for(seed: u64, what: &str) -> u64 {
    what.bytes().fold(mix(seed), |seed, byte| mix(seed ^ u64::from(byte)))
}

/// From 0 (inclusive) to 1 (exclusive), evenly.
pub(crate) fn unit(seed: u64, index: i64) -> f64 {
    let bits = mix(seed ^ mix(index as u64)) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// A smooth wander between -1 and 1 that turns about once in `period_ms`: random values at the
/// grid points, joined by a cosine.
pub(crate) fn wander(seed: u64, at_ms: i64, period_ms: i64) -> f64 {
    let step = at_ms.div_euclid(period_ms);
    let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
    let (from, to) = (2.0 * unit(seed, step) - 1.0, 2.0 * unit(seed, step + 1) - 1.0);
    let weight = (1.0 - (std::f64::consts::PI * part).cos()) / 2.0;
    from + (to - from) * weight
}

/// The jitter of a sensor between -1 and 1: a fresh value each second.
pub(crate) fn jitter(seed: u64, at_ms: i64) -> f64 {
    2.0 * unit(seed ^ 0x5eed, at_ms.div_euclid(1_000)) - 1.0
}

/// An exponentially distributed value with this mean.
pub(crate) fn exponential(seed: u64, index: i64, mean: f64) -> f64 {
    -mean * (1.0 - unit(seed, index)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_even_and_repeats() {
        let seed = seed_for(7, "stn-my-tho");
        let mean = (0..10_000).map(|index| unit(seed, index)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_eq!(unit(seed, 42), unit(seed_for(7, "stn-my-tho"), 42));
        assert_ne!(unit(seed, 42), unit(seed_for(8, "stn-my-tho"), 42));
    }

    #[test]
    fn wandering_is_bounded_and_smooth() {
        for ms in (-100_000..100_000).step_by(100) {
            let (here, next) = (wander(3, ms, 10_000), wander(3, ms + 100, 10_000));
            assert!((-1.0..=1.0).contains(&here) && (here - next).abs() < 0.04, "{ms}: {here}");
        }
    }
}
