// SPDX-License-Identifier: Apache-2.0
//
// Both sides of the tested box on one core: clients on the front link, backends on the back link, driven in turn.
#pragma once

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>

#include "perf/blast/backends.h"
#include "perf/blast/clients.h"
#include "perf/blast/flood.h"
#include "perf/blast/neighbours.h"
#include "perf/blast/options.h"

namespace sluice::blast {

/// What came of a trial.
struct Trial {
  double rate = 0;     // wanted, sessions a second
  double seconds = 0;  // in which sessions were begun
  ClientFigures client;
  BackendFigures backend;
  int64_t lost_up = 0;    // segments that clients sent and no backend received
  int64_t lost_down = 0;  // and the other way
  uint64_t unsent = 0;    // frames that the generator itself could not send
  uint64_t flood_syns = 0;
  uint32_t unfinished = 0;  // sessions that had not ended when the drain was over; given up

  /// Whether nothing was lost: no segment, no session, no try.
  bool is_clean() const;
  /// Whether the generator began as many sessions as it was told to.
  bool is_full() const;
};

class Generator {
 public:
  /// `back` may be null: then backends are somebody else's, and losses of segments are not known.
  Generator(Link& front, Link* back, const Options& options, const volatile std::sig_atomic_t& stop);

  /// Finds the gateway and waits until sessions go through. Returns an error's text, or "".
  std::string prepare();

  /// Opens and keeps the held sessions. Returns how many are greeted.
  uint32_t hold();

  /// One trial at `rate` sessions a second (0: as many as may be at once). With a flood if the mode says so.
  Trial trial(double rate);

  /// Lets the held sessions finish. The figures hold how many were lost.
  ClientFigures release();

 private:
  /// One turn of everything but beginning sessions.
  void turn(uint64_t now);
  void turn_until_idle(double seconds);
  void receive_front(uint64_t now);
  void receive_back();
  void show_progress(uint64_t now, double rate);

  Link& front_;
  Link* back_;
  const Options& options_;
  const volatile std::sig_atomic_t& stop_;
  uint64_t tsc_hz_;
  ClientSpace space_;
  Neighbours front_neighbours_;
  std::unique_ptr<Neighbours> back_neighbours_;
  std::unique_ptr<Clients> clients_;
  std::unique_ptr<Backends> backends_;
  MacAddress gateway_;
  uint64_t shown_at_ = 0;
  uint64_t shown_completed_ = 0;
};

}  // namespace sluice::blast
