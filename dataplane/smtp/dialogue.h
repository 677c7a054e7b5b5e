// SPDX-License-Identifier: Apache-2.0
//
// What a worker remembers of a flow's dialogue: its phase and a few bits, in the flow itself (`Flow::smtp_phase`,
// `Flow::smtp_detail`); and, only for as long as lines are cut between segments, commands are pipelined or a TLS
// record is under way, a `Dialogue` in a table of fixed size beside the flow table. A flow that finds no room there
// can no longer be judged, and is counted so.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/contract/flow.h"
#include "dataplane/smtp/command.h"
#include "dataplane/smtp/hello_teller.h"
#include "dataplane/smtp/reply.h"
#include "dataplane/smtp/tls_record.h"

namespace sluice {

/// Commands that wait for their replies, in runs of equal ones: a client may pipeline hundreds of RCPT.
class CommandQueue {
 public:
  bool empty() const { return runs_ == 0; }
  void clear() { runs_ = 0; }

  /// Returns whether there was room.
  bool push(SmtpCommand command) {
    if (runs_ != 0 && run_[runs_ - 1].command == command && run_[runs_ - 1].count != UINT8_MAX) {
      run_[runs_ - 1].count++;
      return true;
    }
    if (runs_ == kRuns) return false;
    run_[runs_++] = {command, 1};
    return true;
  }

  /// kNone if empty.
  SmtpCommand pop() {
    if (runs_ == 0) return SmtpCommand::kNone;
    const SmtpCommand command = run_[0].command;
    if (--run_[0].count == 0) {
      runs_--;
      for (uint32_t i = 0; i < runs_; i++) run_[i] = run_[i + 1];
    }
    return command;
  }

 private:
  static constexpr uint32_t kRuns = 9;
  struct Run {
    SmtpCommand command;
    uint8_t count;
  };
  std::array<Run, kRuns> run_{};
  uint8_t runs_ = 0;
};

/// What does not fit into a flow.
struct alignas(64) Dialogue {
  FlowIndex owner = kNoFlow;
  uint32_t chunk_left = 0;  // bytes of a BDAT chunk still to come from the client
  CommandLine command;      // the line that the client is in
  ReplyLine reply;          // the line that the server is in
  TlsStream client_tls;
  TlsStream server_tls;
  HelloProgress hello;   // while the client is in its first TLS record
  CommandQueue waiting;  // behind the one in Flow::smtp_detail

  bool is_idle() const {
    return chunk_left == 0 && !command.begun() && !reply.begun() && !client_tls.begun() && !server_tls.begun() &&
           waiting.empty();
  }
};

static_assert(sizeof(Dialogue) == 64);

/// The dialogues of one worker. Thread safety: none; nothing allocates.
class DialogueTable {
 public:
  /// The dialogue of a flow that has one, or null (after a restart).
  Dialogue* find(FlowIndex flow) noexcept {
    for (uint32_t i = 0; i < kProbes; i++) {
      Dialogue& dialogue = dialogues_[(begin(flow) + i) % kDialogues];
      if (dialogue.owner == flow) return &dialogue;
    }
    return nullptr;
  }

  /// A fresh dialogue for a flow that has none; null if there is no room.
  Dialogue* take(FlowIndex flow) noexcept {
    for (uint32_t i = 0; i < kProbes; i++) {
      Dialogue& dialogue = dialogues_[(begin(flow) + i) % kDialogues];
      if (dialogue.owner != kNoFlow) continue;
      dialogue.owner = flow;
      in_use_++;
      return &dialogue;
    }
    return nullptr;
  }

  void release(Dialogue& dialogue) noexcept {
    dialogue = Dialogue{};
    in_use_--;
  }

  uint32_t in_use() const noexcept { return in_use_; }

  static constexpr uint32_t kDialogues = 1U << 14;
  static constexpr uint32_t kProbes = 8;

 private:
  static uint32_t begin(FlowIndex flow) noexcept { return (flow * 0x9e3779b1U) >> 18; }

  std::array<Dialogue, kDialogues> dialogues_;
  uint32_t in_use_ = 0;
};

static_assert(DialogueTable::kDialogues == 1U << (32 - 18));

}  // namespace sluice
