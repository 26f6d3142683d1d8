// The measured boot log of a guest: what its firmware hashed into the runtime measurement registers.
//
// The format is TCG's (PC Client Platform Firmware Profile, sections 10.1 to 10.2.2): a first event that lists the hash
// algorithms, then events with one digest for each. The firmware of a TD puts it into the ACPI table CCEL, which is
// larger than the log. The host supplies that table: hostile bytes. A key broker replays what we send against the
// signed registers, so a damaged log is the broker's to judge; here only its end is found.
#pragma once

#include <cstddef>
#include <optional>

#include "attestation/guest_files.h"

namespace proplet::attestation {

// How many leading bytes of `log` are whole, well-formed events. An end marker (eight bytes of 0 or of 255) ends it.
std::size_t event_log_length(ByteView log);

// The log of this TD: the firmware's events, behind them those of a Confidential Containers attestation agent if one
// keeps a file, behind them an end marker. Nothing if the firmware left no log.
std::optional<Bytes> td_event_log(GuestFiles& files);

}  // namespace proplet::attestation
