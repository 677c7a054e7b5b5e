// SPDX-License-Identifier: Apache-2.0
//
// Ports, services, pools, backends and events as tables. Each takes the API's array and the time of the answer, and
// throws nlohmann::json::exception if that is not what control of this version says.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

struct Look {
  std::string now;  // RFC 3339: the answer's "time"
  bool colours = false;
  bool brief = false;  // without what only a closer look needs
};

std::string ports_table(const nlohmann::json& ports, const Look& look);
/// What the cards have counted.
std::string port_counters_table(const nlohmann::json& ports, const Look& look);
/// The devices of bonds; "" if there is no bond.
std::string port_members_table(const nlohmann::json& ports, const Look& look);
std::string services_table(const nlohmann::json& services, const Look& look);
/// Of services that left the file.
std::string removed_services_table(const nlohmann::json& services, const Look& look);
std::string pools_table(const nlohmann::json& pools, const Look& look);
/// Unless brief, with a column for every weight factor that the answer has.
std::string backends_table(const nlohmann::json& backends, const Look& look);
/// In the order of the array.
std::string events_table(const nlohmann::json& events, const Look& look);

/// Rates of the last second, a line for each service or backend. `name`: the first column's.
std::string rates_table(const std::string& name, const nlohmann::json& subjects, const Look& look);

/// A backend's weight factors with what each is owed to.
std::string factors_table(const nlohmann::json& factors, const Look& look);

/// What was seen of SMTP: counters that are not 0, and times. "" for null.
std::string observation_table(const nlohmann::json& observation, const Look& look);

/// "42s", "7m 3s", "5h 12m", "3d 4h": between two RFC 3339 times in UTC; "?" if one of them is none.
std::string time_between(const std::string& from, const std::string& to);

/// Three figures and a unit: "0", "0.25", "12.5", "340", "1.2k", "15M"; "-" for null.
std::string short_number(const nlohmann::json& value);

/// A member that is text, without control characters.
std::string text_of(const nlohmann::json& object, const char* name);

/// That another node has the name of this one, or that etcd takes nothing from it; normally "". `self`: of the status
/// or the fleet, null without etcd.
std::string self_faults(const nlohmann::json& self);

}  // namespace sluice::ctl
