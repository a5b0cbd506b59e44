//! Contents that were compared with their ids; where one place is damaged, from another.

use std::sync::{Arc, Mutex, PoisonError};

use super::contents::{ContentCache, ObjectAt};
use super::engine::Fault;
use super::objects::{ObjectReader, gone};
use super::transaction::Newest;
use crate::commit::SourceForm;
use crate::error::Result;
use crate::id::ObjectId;
use crate::log::reader::LocatedChange;

impl ObjectReader<'_> {
    /// The content of the object with this id, checked against it whether it comes from the log or from `cache`.
    pub fn checked(
        &self,
        at: ObjectAt,
        id: &ObjectId,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<Arc<Vec<u8>>, Fault> {
        let lock = || cache.map(|cache| cache.lock().unwrap_or_else(PoisonError::into_inner));
        let (content, records) = self.content(at, &mut |at| lock()?.get(at))?;
        if ObjectId::of(&content.bytes) == *id {
            let bytes = content.bytes.clone();
            if records > 0
                && let Some(mut cache) = lock()
            {
                cache.put(at, content);
            }
            return Ok(bytes);
        }
        // What is wrong in memory may be right on disk.
        self.reader.contents().clear();
        if let Some(mut cache) = lock() {
            cache.remove(at);
        }
        Err(self.fault_at(
            at,
            format!("the content of object {id} does not have its hash"),
        ))
    }

    /// The content of an object that a change names, checked: from where it belongs, else, where that is damaged, from
    /// any other place that has it. Who saves again what was lost brings it back.
    pub fn named(
        &self,
        located: &LocatedChange,
        seq: u64,
        id: &ObjectId,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<Arc<Vec<u8>>, Fault> {
        let at = self.locate(located, seq, id);
        let tried = at.as_ref().ok().copied();
        let read = at.and_then(|at| self.checked(at, id, cache));
        let Err(Fault::Doubt(error)) = read else {
            return read;
        };
        match self.find_whole(id, tried, cache)? {
            Some(bytes) => Ok(bytes),
            None => Err(Fault::Doubt(error)),
        }
    }

    /// The content with this id from the first place where it is whole, but for one that was tried.
    pub fn find_whole(
        &self,
        id: &ObjectId,
        tried: Option<ObjectAt>,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<Option<Arc<Vec<u8>>>, Fault> {
        let copies = match self.copies(id) {
            Err(Fault::Doubt(_)) => Vec::new(),
            copies => copies?,
        };
        for at in copies {
            if Some(at) == tried {
                continue;
            }
            match self.checked(at, id, cache) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Fault::Doubt(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        match self.find_orphan(id)? {
            Some(at) if Some(at) != tried => self.checked(at, id, cache).map(Some),
            _ => Ok(None),
        }
    }

    /// Is this object in the log, and whole?
    pub fn has_whole(
        &self,
        at: ObjectAt,
        id: &ObjectId,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<bool, Fault> {
        match self.checked(at, id, cache) {
            Ok(_) => Ok(true),
            Err(Fault::Doubt(_)) => Ok(self.find_whole(id, Some(at), cache)?.is_some()),
            Err(fault) => Err(fault),
        }
    }

    /// Can the objects of a version be loaded? What a layout makes of them is not asked.
    pub fn loads(
        &self,
        newest: &Newest,
        cache: Option<&Mutex<ContentCache>>,
    ) -> Result<bool, Fault> {
        let Some(content) = newest.change().content else {
            return Ok(true);
        };
        let source = match content.source {
            SourceForm::Object(id) => Some(id),
            _ => None,
        };
        for id in [Some(content.object), source].into_iter().flatten() {
            match self.named(&newest.located, newest.row.seq, &id, cache) {
                Ok(_) => {}
                Err(Fault::Doubt(_)) => return Ok(false),
                Err(fault) => return Err(fault),
            }
        }
        Ok(true)
    }

    /// The content with this id, wherever it is stored, checked.
    pub fn any(&self, id: &ObjectId, cache: &mut ContentCache) -> Result<Arc<Vec<u8>>, Fault> {
        let at = match self.find(id)? {
            Some(at) => Some(at),
            None => self.find_orphan(id)?,
        };
        let at = at.ok_or_else(|| gone(format!("no record of object {id}")))?;
        let read = self.content(at, &mut |at| cache.get(at));
        if let Ok((content, _)) = &read
            && ObjectId::of(&content.bytes) == *id
        {
            return Ok(content.bytes.clone());
        }
        if let Some(bytes) = self.find_whole(id, Some(at), None)? {
            return Ok(bytes);
        }
        read?;
        Err(self.fault_at(
            at,
            format!("the content of object {id} does not have its hash"),
        ))
    }
}
