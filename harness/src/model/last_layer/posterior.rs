//! The posterior of a last layer.

use super::Fisher;
use crate::noise::{NoiseKey, nearest_f32, standard_normal};
use crate::units::SampleId;

/// Independent Gaussians.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginals {
    /// Means, in the layout of the weights.
    pub mean: Vec<f32>,
    /// Variances.
    pub variance: Vec<f32>,
}

/// A diagonal Gaussian over the weights of a last layer, around those of the network.
///
/// # Examples
/// ```
/// use dubench::model::{Fisher, LastLayerPosterior};
///
/// let fisher = Fisher { weight: vec![3.0, 0.0], bias: None, n_images: 1 };
/// let posterior = LastLayerPosterior::new((vec![0.5, 0.25], None), &fisher, (1.0, 1.0)).unwrap();
/// // Precision h / sigma^2 + gamma.
/// assert_eq!(posterior.weight.variance, [0.25, 1.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LastLayerPosterior {
    /// Weights.
    pub weight: Marginals,
    /// Bias, where the layer has one.
    pub bias: Option<Marginals>,
}

impl LastLayerPosterior {
    /// Precision `h / sigma^2 + gamma` around the weights of the network, for noise `sigma` and prior precision `gamma`.
    /// `None` where the numbers of weights differ.
    pub fn new(
        (weight, bias): (Vec<f32>, Option<Vec<f32>>),
        fisher: &Fisher,
        (sigma, gamma): (f64, f64),
    ) -> Option<Self> {
        let marginals = |mean: Vec<f32>, h: &[f64]| {
            let variance = h.iter().map(|h| nearest_f32(1.0 / (h / (sigma * sigma) + gamma)));
            (mean.len() == h.len()).then(|| Marginals { variance: variance.collect(), mean })
        };
        let bias = match (bias, &fisher.bias) {
            (None, None) => None,
            (Some(mean), Some(h)) => Some(marginals(mean, h)?),
            _ => return None,
        };
        Some(Self { weight: marginals(weight, &fisher.weight)?, bias })
    }

    /// Weights and bias of the draw that a key names, whatever its sample.
    pub fn draw(&self, key: NoiseKey) -> (Vec<f32>, Option<Vec<f32>>) {
        let n_bias = self.bias.as_ref().map_or(0, |bias| bias.mean.len());
        let mut z = vec![0.0; self.weight.mean.len() + n_bias];
        standard_normal(NoiseKey { sample: SampleId(0), ..key }, &mut z);
        let (of_weight, of_bias) = z.split_at(self.weight.mean.len());
        (self.weight.moved(of_weight), self.bias.as_ref().map(|bias| bias.moved(of_bias)))
    }
}

impl Marginals {
    fn moved(&self, z: &[f32]) -> Vec<f32> {
        let all = self.mean.iter().zip(&self.variance).zip(z);
        all.map(|((mean, variance), z)| {
            nearest_f32(f64::from(*mean) + f64::from(*variance).sqrt() * f64::from(*z))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Purpose;

    fn key(seed: u64, step: u32, draw: u32) -> NoiseKey {
        NoiseKey { seed, purpose: Purpose::Weights, sample: SampleId(0), step, draw }
    }

    #[test]
    fn draws_have_the_stated_moments_and_no_two_are_alike() {
        let fisher = Fisher { weight: vec![3.0, 24.0], bias: Some(vec![0.0]), n_images: 1 };
        let posterior =
            LastLayerPosterior::new((vec![1.0, -2.0], Some(vec![0.5])), &fisher, (1.0, 1.0))
                .unwrap();
        let n = 4000;
        let all: Vec<[f32; 3]> = (0..n)
            .map(|draw| {
                let (weight, bias) = posterior.draw(key(7, 3, draw));
                [weight[0], weight[1], bias.unwrap()[0]]
            })
            .collect();
        for (k, (mean, variance)) in [(1.0, 0.25), (-2.0, 0.04), (0.5, 1.0)].into_iter().enumerate()
        {
            let column = || all.iter().map(|row| f64::from(row[k]));
            let got = column().sum::<f64>() / f64::from(n);
            let spread = column().map(|v| (v - got).powi(2)).sum::<f64>() / f64::from(n - 1);
            // Four standard errors of a mean and of a variance of normals.
            assert!((got - mean).abs() < 4.0 * f64::sqrt(variance / f64::from(n)), "{got}");
            let se = variance * f64::sqrt(2.0 / f64::from(n));
            assert!((spread - variance).abs() < 4.0 * se, "{spread} of {variance}");
        }
        let one = posterior.draw(key(7, 3, 0));
        let held = NoiseKey { purpose: Purpose::HeldWeights, ..key(7, 3, 0) };
        for other in [key(7, 4, 0), key(8, 3, 0), held] {
            assert_ne!(one, posterior.draw(other));
        }
    }

    #[test]
    fn a_fisher_of_another_layer_is_no_posterior() {
        let fisher = Fisher { weight: vec![1.0], bias: None, n_images: 1 };
        let of =
            |weight: Vec<f32>, bias| LastLayerPosterior::new((weight, bias), &fisher, (1.0, 1.0));
        assert_eq!(of(vec![1.0, 2.0], None), None);
        assert_eq!(of(vec![1.0], Some(vec![1.0])), None);
    }
}
