//! Tensors of a folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::files::{self, ModelFiles};
use crate::error::{Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// As in the `safetensors` crate.
const MAXIMUM_HEADER: u64 = 100_000_000;
/// Endings of files that hold weights in a form that is not read.
const PICKLES: [&str; 6] = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"];

/// What a source tells of a tensor before its bytes are read.
#[derive(Clone, Debug)]
pub(crate) struct TensorInfo {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// What is said where this type cannot be read.
    pub refusal: String,
    /// Grows with its place in the files; that of the names where all are in memory.
    pub order: usize,
}

impl TensorInfo {
    fn new(name: String, dtype: Dtype, shape: Vec<usize>, order: usize) -> Self {
        Self {
            order,
            name,
            dtype,
            shape,
            refusal: format!("is of type {dtype}: only F32, F16 and BF16 are supported"),
        }
    }
}

/// Named tensors that are read one at a time.
pub(crate) trait TensorSource {
    /// All tensors, sorted by name, each name once.
    fn tensors(&self) -> &[TensorInfo];

    /// The little-endian, row-major bytes of the tensor at `index` of [`tensors`](Self::tensors): as many as type and
    /// shape ask for.
    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>>;
}

/// The tensors of one file in memory.
pub(crate) struct InMemory<'a> {
    tensors: Vec<TensorInfo>,
    data: Vec<&'a [u8]>,
}

impl<'a> InMemory<'a> {
    pub fn new(file: &SafeTensors<'a>) -> Self {
        let mut views = file.tensors();
        views.sort_by(|(one, _), (other, _)| one.cmp(other));
        let data = views.iter().map(|(_, view)| view.data()).collect();
        let tensors = views
            .into_iter()
            .enumerate()
            .map(|(order, (name, view))| TensorInfo::new(name, view.dtype(), view.shape().to_vec(), order));
        Self {
            tensors: tensors.collect(),
            data,
        }
    }
}

impl TensorSource for InMemory<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.data[index]))
    }
}

/// The tensors of a folder, read from its files when they are asked for.
pub(crate) struct Shards<'a> {
    files: &'a dyn ModelFiles,
    tensors: Vec<TensorInfo>,
    places: Vec<Place>,
}

struct Place {
    file: String,
    offset: u64,
    length: usize,
}

impl<'a> Shards<'a> {
    /// Reads the headers of all files with weights. `model.safetensors` goes before an index, as in `transformers`.
    ///
    /// # Errors
    /// No safetensors, a missing or damaged file, or an index that does not agree with its shards.
    pub fn open(files: &'a dyn ModelFiles) -> Result<Self> {
        let mut found = BTreeMap::new();
        if files::length(files, SINGLE)?.is_some() {
            read_header(files, SINGLE, &mut found)?;
        } else if let Some(index) = files::optional(files, INDEX)? {
            let index = Index::parse(&index)?;
            for shard in &index.shards {
                read_header(files, shard, &mut found)?;
            }
            index.check(&found)?;
        } else {
            return Err(no_weights(files)?);
        }
        let (tensors, places) = found.into_values().unzip();
        Ok(Self {
            files,
            tensors,
            places,
        })
    }
}

impl Shards<'_> {
    /// Bytes of the tensor at `index`.
    pub fn stored_bytes(&self, index: usize) -> usize {
        self.places[index].length
    }
}

impl TensorSource for Shards<'_> {
    fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let place = &self.places[index];
        files::read(self.files, &place.file, place.offset, place.length).map(Cow::Owned)
    }
}

/// Adds the tensors of a file to those found before.
fn read_header(
    files: &dyn ModelFiles,
    file: &str,
    found: &mut BTreeMap<String, (TensorInfo, Place)>,
) -> Result<()> {
    let Some(size) = files::length(files, file)? else {
        return Err(Error::file(
            file,
            format!("is missing, though `{INDEX}` names it: complete the download"),
        ));
    };
    let damaged = |problem: String| Error::file(file, format!("{problem}: save or download it again"));
    if size < 8 {
        return Err(damaged(format!(
            "has {size} bytes, too few for a safetensors file"
        )));
    }
    let prefix = files::read(files, file, 0, 8)?;
    // A pickle of Python's second protocol or later, or the archive that PyTorch puts one into, under another name.
    if prefix.starts_with(b"\x80") && matches!(prefix[1], 2..=5) || prefix.starts_with(b"PK\x03\x04") {
        return Err(Error::file(file, format!("is a pickle; {WHY_NOT_PICKLES}")));
    }
    let header = prefix
        .first_chunk()
        .map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    if header > MAXIMUM_HEADER.min(size - 8) {
        return Err(damaged(format!(
            "is no safetensors file: its header would have {header} of its {size} bytes"
        )));
    }
    let head = files::read(files, file, 8, header as usize)?;
    // Reading it as metadata checks that offsets follow each other and agree with types and shapes.
    let metadata: Metadata = serde_json::from_slice(&head)
        .map_err(|source| damaged(format!("is no safetensors file: {source}")))?;
    let data = 8 + header;
    if metadata.data_len() as u64 != size - data {
        return Err(damaged(format!(
            "has {} bytes of tensors where its header asks for {}: it is truncated or damaged",
            size - data,
            metadata.data_len()
        )));
    }
    add_tensors(file, data, &metadata, found)
}

fn add_tensors(
    file: &str,
    data: u64,
    metadata: &Metadata,
    found: &mut BTreeMap<String, (TensorInfo, Place)>,
) -> Result<()> {
    let sorted: BTreeMap<String, _> = metadata.tensors().into_iter().collect();
    let before = found.len();
    let mut starts: Vec<usize> = sorted.values().map(|info| info.data_offsets.0).collect();
    starts.sort_unstable();
    for (name, info) in sorted {
        if let Some((_, other)) = found.get(&name) {
            let problem = format!(
                "is there twice, in `{}` and in `{file}`: keep one of them",
                other.file
            );
            return Err(Error::tensor(name, problem));
        }
        let (start, end) = info.data_offsets;
        let place = Place {
            file: file.to_owned(),
            offset: data + start as u64,
            length: end - start,
        };
        let order = before + starts.partition_point(|&other| other < start);
        let tensor = TensorInfo::new(name.clone(), info.dtype, info.shape.clone(), order);
        found.insert(name, (tensor, place));
    }
    Ok(())
}

/// `model.safetensors.index.json`. Its `metadata.total_size` is not compared: it sums up what was in memory when the
/// model was saved, tied tensors and other types included, and checks nothing that the shards' own headers do not.
#[derive(Debug)]
struct Index {
    shard_of: BTreeMap<String, String>,
    shards: BTreeSet<String>,
}

impl Index {
    fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            weight_map: Pairs,
        }
        let file: File = serde_json::from_slice(bytes).map_err(|source| {
            Error::file(
                INDEX,
                format!("is no index with a `weight_map` of names to files: {source}"),
            )
        })?;
        let mut index = Self {
            shard_of: BTreeMap::new(),
            shards: BTreeSet::new(),
        };
        for (tensor, shard) in file.weight_map.0 {
            check_shard_name(&tensor, &shard)?;
            index.shards.insert(shard.clone());
            if let Some(other) = index.shard_of.insert(tensor.clone(), shard) {
                let problem = format!("is named twice in `{INDEX}`, the first time in `{other}`");
                return Err(Error::tensor(tensor, problem));
            }
        }
        if index.shards.is_empty() {
            return Err(Error::file(INDEX, "names no tensor"));
        }
        Ok(index)
    }

    /// Every name is in the shard that the index gives for it, and the shards hold nothing else.
    fn check(&self, found: &BTreeMap<String, (TensorInfo, Place)>) -> Result<()> {
        for (name, shard) in &self.shard_of {
            let problem = match found.get(name) {
                Some((_, place)) if place.file == *shard => continue,
                Some((_, place)) => {
                    format!(
                        "is in `{}`, where `{INDEX}` says that it is in `{shard}`",
                        place.file
                    )
                }
                None => format!("is not in `{shard}`, where `{INDEX}` says that it is"),
            };
            return Err(Error::tensor(name, problem));
        }
        match found.iter().find(|(name, _)| !self.shard_of.contains_key(*name)) {
            None => Ok(()),
            Some((name, (_, place))) => {
                let problem = format!("is in `{}`, but not in `{INDEX}`", place.file);
                Err(Error::tensor(name, problem))
            }
        }
    }
}

/// A JSON object with every pair in it, those with the same key too.
#[derive(Debug)]
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of tensor names to file names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A shard is a file of the folder itself: an index may not lead anywhere else.
fn check_shard_name(tensor: &str, shard: &str) -> Result<()> {
    let plain = shard
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_'));
    if plain && !shard.starts_with('.') && shard.ends_with(".safetensors") {
        return Ok(());
    }
    let problem = if PICKLES.iter().any(|ending| shard.ends_with(ending)) {
        format!("is in the pickle `{shard}`; {WHY_NOT_PICKLES}")
    } else {
        format!(
            "is in `{shard}`, which `{INDEX}` may not name: shards are files `*.safetensors` in the folder"
        )
    };
    Err(Error::tensor(tensor, problem))
}

const WHY_NOT_PICKLES: &str = "pickles are programs that run when they are read, so they are not accepted: load the \
    model where you trust it and save it with `save_pretrained(DIR, safe_serialization=True)`";

/// Says what a folder without safetensors has instead.
fn no_weights(files: &dyn ModelFiles) -> Result<Error> {
    let mut names = files.names().map_err(|source| Error::FileAccess {
        name: "the folder".to_owned(),
        source,
    })?;
    names.sort();
    let pickle = names
        .iter()
        .find(|name| PICKLES.iter().any(|ending| name.ends_with(ending)));
    Ok(match pickle {
        Some(pickle) => Error::file(pickle, format!("holds pickled weights; {WHY_NOT_PICKLES}")),
        None => Error::file(
            SINGLE,
            format!("is missing, and so is `{INDEX}`: a folder needs its weights as safetensors"),
        ),
    })
}
