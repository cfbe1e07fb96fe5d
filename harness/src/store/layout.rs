//! Where files lie in a work folder. Readers open planned names; nothing is found by listing a folder.
//!
//! ```text
//! WORK/parts/generate/GENERATE_ID8/manifest.json  block-000012.parquet  block-000012.parquet.sha256
//! WORK/parts/thresholds/THRESHOLDS_ID8/block-000012.parquet  dataset_pixel-0123456789abcdef.parquet ...
//! WORK/parts/features/FEATURES_ID8/block-000012.parquet ...
//! WORK/parts/real-features/REAL_ID8/block-000012.parquet ...
//! WORK/EXPERIMENT-SCALE-PLAN_ID8/plan.json  metrics.parquet  curves.parquet  scores.parquet  timings.json
//! WORK/locks/
//! ```
//!
//! # Why are parts not inside the plan's folder?
//! Plans that differ only in what is computed from images (another `n_keep`, another reference) share
//! their images, and plans of several tables share them too.

use std::path::{Path, PathBuf};

use crate::units::BlockId;

use super::StoreError;

/// A stage whose parts are files of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageName {
    /// Maps of threshold sets, and the thresholds.
    Thresholds,
    /// Images.
    Generate,
    /// Features.
    Features,
    /// Features of real images.
    Real,
}

impl StageName {
    /// Name of the folder, and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Thresholds => "thresholds",
            Self::Generate => "generate",
            Self::Features => "features",
            Self::Real => "real-features",
        }
    }
}

/// Paths of one plan in one work folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    work: PathBuf,
    run: String,
    thresholds_id: String,
    generate_id: String,
    features_id: String,
    real_id: String,
}

/// What a layout needs of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunIds {
    /// Experiment name.
    pub experiment: String,
    /// Scale.
    pub scale: String,
    /// Plan id.
    pub plan_id: String,
    /// Id of the threshold sets, empty ones too.
    pub thresholds_id: String,
    /// Id of the images.
    pub generate_id: String,
    /// Id of the features.
    pub features_id: String,
    /// Id of the features of real images, none of them too.
    pub real_id: String,
}

impl Layout {
    /// Paths of a plan under `work`. Nothing is created.
    pub fn new(work: &Path, ids: &RunIds) -> Self {
        Self {
            work: work.to_owned(),
            run: format!("{}-{}-{}", ids.experiment, ids.scale, short(&ids.plan_id)),
            thresholds_id: ids.thresholds_id.clone(),
            generate_id: ids.generate_id.clone(),
            features_id: ids.features_id.clone(),
            real_id: ids.real_id.clone(),
        }
    }

    /// Creates the folders that every plan has.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn create(&self) -> Result<(), StoreError> {
        let folders = [
            self.run_folder(),
            self.stage_folder(StageName::Generate),
            self.stage_folder(StageName::Features),
            self.work.join("locks"),
        ];
        folders.iter().try_for_each(|folder| {
            std::fs::create_dir_all(folder).map_err(StoreError::write(folder))
        })
    }

    /// Creates the folder of a stage that not every plan has.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn create_stage(&self, stage: StageName) -> Result<(), StoreError> {
        let folder = self.stage_folder(stage);
        std::fs::create_dir_all(&folder).map_err(StoreError::write(&folder))
    }

    /// Folder of the plan and its results.
    pub fn run_folder(&self) -> PathBuf {
        self.work.join(&self.run)
    }

    /// Folder of a stage's parts.
    pub fn stage_folder(&self, stage: StageName) -> PathBuf {
        self.work.join("parts").join(stage.as_str()).join(short(self.stage_id(stage)))
    }

    /// Id that the parts of a stage carry.
    pub fn stage_id(&self, stage: StageName) -> &str {
        match stage {
            StageName::Thresholds => &self.thresholds_id,
            StageName::Generate => &self.generate_id,
            StageName::Features => &self.features_id,
            StageName::Real => &self.real_id,
        }
    }

    /// The part of a block.
    pub fn part(&self, stage: StageName, block: BlockId) -> PathBuf {
        self.stage_folder(stage).join(format!("block-{:06}.parquet", block.0))
    }

    /// Thresholds by the name of their kind and their id.
    pub fn thresholds(&self, kind: &str, id: &str) -> PathBuf {
        let id = id.get(..16).unwrap_or(id);
        self.stage_folder(StageName::Thresholds).join(format!("{kind}-{id}.parquet"))
    }

    /// The manifest of a stage.
    pub fn manifest(&self, stage: StageName) -> PathBuf {
        self.stage_folder(stage).join("manifest.json")
    }

    /// A file of the run folder: `plan.json`, `metrics.parquet`.
    pub fn run_file(&self, name: &str) -> PathBuf {
        self.run_folder().join(name)
    }

    /// Lock file of a shard of a stage.
    pub fn lock(&self, stage: StageName, shard: &str) -> PathBuf {
        let shard = shard.replace('/', "-of-");
        let name = format!("{}-{}-{shard}.lock", stage.as_str(), short(self.stage_id(stage)));
        self.work.join("locks").join(name)
    }
}

/// Eight digits name a folder; the whole id stands inside every file and is checked.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_planned_names() {
        let ids = RunIds {
            experiment: "table1-cifar10".into(),
            scale: "mini".into(),
            plan_id: "0123456789abcdef".into(),
            thresholds_id: "3123456789abcdef".into(),
            generate_id: "1123456789abcdef".into(),
            features_id: "2123456789abcdef".into(),
            real_id: "4123456789abcdef".into(),
        };
        let layout = Layout::new(Path::new("w"), &ids);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        assert_eq!(
            text(layout.part(StageName::Generate, BlockId(12))),
            "w/parts/generate/11234567/block-000012.parquet"
        );
        assert_eq!(
            text(layout.thresholds("pixel", "0123456789abcdef0123")),
            "w/parts/thresholds/31234567/pixel-0123456789abcdef.parquet"
        );
        assert_eq!(
            text(layout.run_file("metrics.parquet")),
            "w/table1-cifar10-mini-01234567/metrics.parquet"
        );
        assert_eq!(
            text(layout.lock(StageName::Features, "0/4")),
            "w/locks/features-21234567-0-of-4.lock"
        );
    }
}
