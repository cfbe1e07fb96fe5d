//! What a Table 4 shows.

use super::{PrecisionRecall, table};
use crate::config::GeneratedImages;
use crate::protocol::rows::real_remark;
use crate::protocol::{Evidence, Numbers, ProtocolError};
use crate::report::{Artefact, Head, page};

/// What the released code does with generated images (D25).
const AS_RELEASED: &str = "for real images; generated ones as the released code hands them over, in [0, 1] without scaling and padded \
     with zeros, so that this table says what that does and nothing of the images";

pub(super) fn report(
    settings: &PrecisionRecall,
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let remarks = remarks(settings, evidence);
    let work = evidence.work();
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let published = evidence.published_table();
    Ok(page::files(&table::document(head, &numbers.rows, &remarks, published)?))
}

/// Sentences that must stand under the first table.
pub(super) fn remarks(settings: &PrecisionRecall, evidence: &dyn Evidence) -> Vec<String> {
    let work = evidence.work();
    let (Some(arm), Some(extractor)) = (work.arms.first(), &work.extractor) else {
        return Vec::new();
    };
    let mut remarks = vec![format!(
        "Measured: {} by {}, {} images, {} kept; k = {}, the rim of a ball is outside; features {} ({}), {}.",
        work.model.name,
        arm.sampler.label(),
        arm.n,
        settings.n_keep,
        settings.k,
        extractor.name,
        extractor.preprocess,
        match work.generated {
            None => "the same for real and generated images",
            Some(GeneratedImages::AuthorsCode) => AS_RELEASED,
        },
    )];
    remarks.extend(real_remark(work));
    let generative = settings.generative_uncertainty.as_ref();
    remarks.extend(generative.and_then(|own| own.remark(work)));
    if let Some(row) = evidence.published() {
        let obstacle = row.obstacle.as_ref().map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {} unless the names agree, in features of VGG-16.{obstacle}",
            row.network, row.dataset, work.model.name
        ));
    }
    remarks
}
