// SPDX-License-Identifier: Apache-2.0
//
// A session as records tell of it, for tests to change.
#pragma once

#include <memory>

#include "controlplane/records/session_names.h"

namespace sluice::control {

/// A message that was accepted, and QUIT.
inline KnownSession ordinary_session() {
  KnownSession out;
  using channel::SessionEnd, channel::SessionParty, channel::SmtpStep;
  channel::SessionRecord& record = out.record;
  record = {};
  record.ended_ms = 5'000'001'500;  // beyond 32 bits
  record.client = {Address::v4(Be32::of(0xc6336407)), Be16::of(40000)};
  record.packets_up = 12;
  record.packets_down = 10;
  record.bytes_up = 900;
  record.bytes_down = 300;
  record.end = SessionEnd::kClosed;
  record.by = SessionParty::kServer;
  record.quit = true;
  channel::SessionNotes& notes = record.notes;
  notes.begun_ms = static_cast<uint32_t>(record.ended_ms - 1500);
  notes.answered_after_ms = 5;
  notes.established_after_ms = 7;
  notes.greeted_after_ms = 200;
  notes.greeting_code = 220;
  notes.flags = channel::kSessionEstablished | channel::kSessionWatched | channel::kSessionStartTlsOffered;
  notes.set_placed_by(channel::PlacedBy::kTable);
  notes.reach(SmtpStep::kEndOfData);
  notes.messages_accepted = 1;
  out.worker = 1;
  out.service = std::make_shared<const ServiceNames>("relay", "192.0.2.25", uint16_t{25});
  out.backend = std::make_shared<const BackendNames>("mta", "mta1", "10.0.1.10", uint16_t{2525});
  return out;
}

}  // namespace sluice::control
