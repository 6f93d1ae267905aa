//! The chain of segments: every one from the floor on is there, each naming the one before it.
//!
//! A segment that is missing, or whose content is gone, can only be told from one that never was by what points to it: the
//! floor, the next segment's header, or its own index file. With `accept_loss`, an empty file takes the place of a missing
//! one, so that the next start finds the chain whole and the same records lost; a missing front is cut off by the floor.

use std::path::Path;

use crate::error::Error;
use crate::header::PAGE;
use crate::segment::{index_path, segment_path};
use crate::settings::{Seams, Settings};
use crate::survey::{Head, RESTORE, Survey, corrupt};

pub(crate) fn check(survey: &mut Survey, settings: &Settings, seams: &Seams) -> Result<(), Error> {
    let mut chain = Chain { survey, settings, seams };
    chain.check_front()?;
    chain.check_links()?;
    chain.check_indexes()
}

struct Chain<'a> {
    survey: &'a mut Survey,
    settings: &'a Settings,
    seams: &'a Seams,
}

impl Chain<'_> {
    /// Refuses to go on without a segment, or notes that it is done.
    fn without(&mut self, path: &Path, what: &str) -> Result<(), Error> {
        if !self.settings.accept_loss {
            return Err(corrupt(path, what, RESTORE));
        }
        self.survey.notes.push(format!("{}: {what}; its records are lost", path.display()));
        Ok(())
    }

    fn check_front(&mut self) -> Result<(), Error> {
        let oldest = self.survey.floor.oldest;
        let path = segment_path(&self.settings.dir, oldest);
        match self.survey.heads.first() {
            // The newest segment is never trimmed, so after the first trim there is one.
            None if oldest > 1 => self.without(&path, "this segment and all behind it are missing"),
            Some(head) if head.id > oldest => {
                let id = head.id;
                self.without(&path, &format!("segment {oldest} is missing"))?;
                self.raise_floor(id)
            }
            Some(head) if head.header.is_none() => {
                let path = head.path.clone();
                self.without(&path, "both copies of the header of the oldest segment are unreadable")
            }
            _ => Ok(()),
        }
    }

    fn raise_floor(&mut self, oldest: u64) -> Result<(), Error> {
        let dir = self.settings.dir.display();
        self.survey.floor.raise(oldest).map_err(|e| Error::io(format!("raising the floor of {dir}"), e))
    }

    /// Each segment names the one before it; one without a header follows its number.
    fn check_links(&mut self) -> Result<(), Error> {
        let mut at = 1;
        while at < self.survey.heads.len() {
            let (before, head) = (self.survey.heads[at - 1].id, &self.survey.heads[at]);
            let wanted = head.header.as_ref().map_or(head.id - 1, |header| header.previous);
            if before == wanted || wanted < before || wanted >= head.id {
                if before != wanted {
                    let path = head.path.clone();
                    self.without(&path, &format!("it follows segment {wanted}, and {before} is there"))?;
                }
                at += 1;
                continue;
            }
            let destroyed = self.destroyed(wanted)?;
            self.survey.heads.insert(at, destroyed);
        }
        Ok(())
    }

    /// An index file is written for a used segment only, and removed after the floor was raised past it.
    fn check_indexes(&mut self) -> Result<(), Error> {
        for id in std::mem::take(&mut self.survey.index_ids) {
            let newest = self.survey.heads.last().map_or(0, |head| head.id);
            if id < self.survey.floor.oldest {
                let path = index_path(&self.settings.dir, id);
                let removed = self.seams.disk.remove(&path);
                removed.map_err(|e| Error::io(format!("removing {}", path.display()), e))?;
            } else if id > newest {
                let destroyed = self.destroyed(id)?;
                self.survey.heads.push(destroyed);
            }
        }
        Ok(())
    }

    /// A segment that was used and of which nothing is left, or not even the file.
    fn destroyed(&mut self, id: u64) -> Result<Head, Error> {
        let data_start = (2 * PAGE) as u32;
        if let Some(i) = self.survey.unused.iter().position(|unused| unused.id == id)
            && let Some(found) = self.survey.unused.remove(i)
        {
            return Ok(Head { data_start, ..found });
        }
        let path = segment_path(&self.settings.dir, id);
        self.without(&path, &format!("segment {id} is missing"))?;
        let (dir, disk) = (&self.settings.dir, &self.seams.disk);
        let placed = disk.create(&path).and_then(|file| {
            file.fill_with_zeros(u64::from(data_start))?;
            disk.sync_dir(dir)?;
            Ok(file)
        });
        let file = placed.map_err(|e| Error::io(format!("making {}", path.display()), e))?;
        Ok(Head { id, path, file, size_bytes: u64::from(data_start), header: None, data_start })
    }
}
