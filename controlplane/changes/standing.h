// SPDX-License-Identifier: Apache-2.0
//
// How the model stood, in the state directory: which backend and service had which key, what drains until when, and
// from which addresses of ours fullnat spoke. A control process that starts anew goes on from there as from a reload:
// what was renamed keeps its flows, what drains goes on draining, a file that changed meanwhile cuts nothing, and an
// address that is away for a moment is missed for as long as it would have been.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "controlplane/base/journal.h"
#include "controlplane/model/model.h"

namespace sluice::control {

/// As JSON, of version 1.
std::string standing_text(const Model& model);

/// A model to take over from: names, endpoints, keys and addresses of ours, and nothing else. The error says why `text`
/// is not what `standing_text` gives.
std::expected<Model, std::string> standing_from(std::string_view text, Journal& journal);

}  // namespace sluice::control
