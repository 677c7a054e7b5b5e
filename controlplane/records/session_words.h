// SPDX-License-Identifier: Apache-2.0
//
// A record's facts in the words of docs/sessions.md. "" where there is nothing to say.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/contract/session.h"

namespace sluice::control {

/// Whether something in the session went wrong: it was refused, cut, reset or never finished, or the server refused
/// something in it.
bool went_wrong(const channel::SessionRecord& record);

inline bool has(const channel::SessionRecord& record, channel::SessionFlags flag) {
  return (record.notes.flags & flag) != 0;
}

std::string_view end_word(const channel::SessionRecord& record);
std::string_view by_word(const channel::SessionRecord& record);
/// Why we cut or refused it.
std::string_view cause_word(const channel::SessionRecord& record);
/// Whether it was refused because its source is blocked.
bool was_blocked(const channel::SessionRecord& record);
/// Which rule of sources.limits it was over, from 1 on, as metrics say it; 0: none.
uint8_t limit_number(const channel::SessionRecord& record);
std::string_view rule_word(const channel::SessionRecord& record);
std::string_view furthest_word(const channel::SessionNotes& notes);
/// `step`: a channel::SmtpStep.
std::string_view step_word(uint8_t step);
/// How far the TLS handshake came.
std::string_view tls_word(const channel::SessionRecord& record);
/// "5.7.1", of a refusal that has one.
std::string enhanced_code(const channel::LastRefusal& refusal);

/// When it began and ended, in Unix milliseconds. `wall_offset_ms`: from CLOCK_MONOTONIC.
struct SessionTimes {
  int64_t begun_ms;
  int64_t ended_ms;
};
SessionTimes times_of(const channel::SessionRecord& record, int64_t wall_offset_ms);

}  // namespace sluice::control
