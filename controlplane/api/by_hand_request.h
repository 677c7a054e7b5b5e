// SPDX-License-Identifier: Apache-2.0
//
// What a body says that changes something by hand. Pure.
#pragma once

#include <boost/beast/http/status.hpp>
#include <expected>
#include <string>

#include "config/model.h"
#include "controlplane/changes/overrides.h"

namespace sluice::control {

struct ByHandRequest {
  Overrides::Change change;
  bool fleet = false;    // on all nodes
  bool dry_run = false;  // only what it is about

  /// What is wrong with a body, and how it is answered.
  struct Refusal {
    boost::beast::http::status status = boost::beast::http::status::bad_request;
    std::string text;
  };
};

/// Of the body `text`. `entries` and `wishes`: what was changed by hand so far, here and for all nodes; what is left of
/// a backend that is no longer in the file can be spoken of too.
std::expected<ByHandRequest, ByHandRequest::Refusal> by_hand_request_from(const config::Config& config,
                                                                          const ByHandEntries& entries,
                                                                          const Wishes& wishes,
                                                                          const std::string& text);

}  // namespace sluice::control
