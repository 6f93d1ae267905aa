mod catalog;
mod disk;
mod expiry;
mod lake;
mod merging;
mod model;
mod orphans;
