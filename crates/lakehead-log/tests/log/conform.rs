use lakehead_disk::sim::SimDisk;
use lakehead_log::{Log, conformance};

use crate::bed::{Bed, SimBed};

#[test]
fn the_log_does_what_every_log_must_on_the_machines_disk() {
    for (name, check) in conformance::CHECKS {
        println!("{name}");
        let bed = Bed::new(256);
        check(&|| -> Box<dyn Log> { Box::new(bed.open().0) });
    }
}

#[test]
fn the_log_does_what_every_log_must_on_a_simulated_disk_without_memory_of_recent_frames() {
    for (name, check) in conformance::CHECKS {
        println!("{name}");
        let bed = SimBed::new(SimDisk::new(), 64);
        check(&|| -> Box<dyn Log> { Box::new(bed.open().0) });
    }
}
