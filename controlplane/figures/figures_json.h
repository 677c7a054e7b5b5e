// SPDX-License-Identifier: Apache-2.0
//
// Figures as the API shows them. null stands for what is not known: no connection to the data plane, nothing measured.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "controlplane/figures/figures.h"
#include "controlplane/figures/history.h"

namespace sluice::control {

nlohmann::json figures_json(const std::optional<BackendFigures>& figures);
nlohmann::json figures_json(const std::optional<ServiceFigures>& figures);

/// Counters of SMTP by family and label ({"greetings": {"2xx": 5, ...}, "early_talkers": 0, ...}), and the histograms.
nlohmann::json observation_json(const channel::SmtpCounters& smtp);

/// {"new_flows_per_s": 12.5, ...}
nlohmann::json rates_json(const std::optional<Point>& point);

/// {"new_flows_per_s": [12.5, ...], ...}
nlohmann::json series_json(const std::vector<Point>& points);

}  // namespace sluice::control
