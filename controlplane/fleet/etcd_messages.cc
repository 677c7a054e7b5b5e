// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_messages.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "controlplane/base/printable.h"

namespace sluice::control::etcd {

using nlohmann::json;

namespace {

constexpr size_t kMostWords = 200;  // of what etcd says is wrong

/// What keeps an answer from being understood.
struct Unreadable : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <typename N>
N number(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return 0;
  N out = 0;
  if (found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error == std::errc() && end == text.data() + text.size()) return out;
  } else if (found->is_number_integer() && (!found->is_number_unsigned() || found->get<uint64_t>() <= INT64_MAX) &&
             (std::is_signed_v<N> || found->get<int64_t>() >= 0)) {
    return found->get<N>();
  }
  throw Unreadable(fmt::format("its \"{}\" is no number", name));
}

std::string bytes(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return "";
  if (found->is_string()) {
    if (auto out = from_base64(found->get_ref<const std::string&>())) return std::move(*out);
  }
  throw Unreadable(fmt::format("its \"{}\" is no base64", name));
}

const json& object_in(const json& from, const char* name) {
  static const json nothing = json::object();
  const auto found = from.find(name);
  if (found == from.end()) return nothing;
  if (!found->is_object()) throw Unreadable(fmt::format("its \"{}\" is no object", name));
  return *found;
}

const json& list_in(const json& from, const char* name) {
  static const json nothing = json::array();
  const auto found = from.find(name);
  if (found == from.end()) return nothing;
  if (!found->is_array()) throw Unreadable(fmt::format("its \"{}\" is no list", name));
  return *found;
}

json object_from(std::string_view text) {
  json out = json::parse(text, nullptr, false);
  if (!out.is_object()) throw Unreadable("it is no JSON object");
  return out;
}

/// `read` of the object in `text`, or why it cannot be read.
template <typename Read>
auto answer_from(std::string_view text, Read read) -> Answer<decltype(read(json()))> {
  try {
    return read(object_from(text));
  } catch (const Unreadable& fault) {
    return std::unexpected(fmt::format("an answer that etcd does not give: {}", fault.what()));
  }
}

Position position_of(const json& answer) {
  const json& header = object_in(answer, "header");
  return {number<uint64_t>(header, "cluster_id"), number<int64_t>(header, "revision")};
}

/// It is shown on a terminal.
std::string words_of(std::string text) {
  text.resize(std::min(text.size(), kMostWords));
  return printable(std::move(text));
}

/// As refusal_from().
Refusal refusal_of(unsigned status, const json& answer) {
  constexpr int64_t kDeadlineExceeded = 4, kUnavailable = 14;  // of gRPC
  constexpr unsigned kServerError = 500;
  Refusal out{fmt::format("status {}", status), status >= kServerError};
  if (!answer.is_object()) return out;
  // A stream wraps its faults once more, and names the code otherwise.
  const json& fault = answer.contains("error") && answer["error"].is_object() ? answer["error"] : answer;
  for (const char* name : {"message", "error"}) {
    if (!fault.contains(name) || !fault[name].is_string() || fault[name] == json("")) continue;
    out.words = words_of(fault[name].get<std::string>());
    break;
  }
  const auto code = fault.find("code");
  if (code != fault.end() && code->is_number_integer())
    out.is_passing = *code == kDeadlineExceeded || *code == kUnavailable;
  return out;
}

/// A stream's messages lie in "result", its faults in "error".
const json& result_of(const json& message) {
  const json& error = object_in(message, "error");
  if (error.empty()) return object_in(message, "result");
  throw Unreadable(refusal_of(0, message).words);
}

json put_json(const std::string& key, std::string_view value, int64_t lease) {
  return {{"key", to_base64(key)}, {"value", to_base64(value)}, {"lease", std::to_string(lease)}};
}

WatchMessage message_from(std::string_view line) {
  const json whole = object_from(line);
  const json& result = result_of(whole);
  WatchMessage out{position_of(result), list_in(result, "events").size(), ""};
  const auto canceled = result.find("canceled");
  if (canceled == result.end() || *canceled != json(true)) return out;
  const auto reason = result.find("cancel_reason");
  out.end = reason != result.end() && reason->is_string() ? words_of(reason->get<std::string>()) : "";
  if (out.end.empty()) out.end = "the watch was cancelled";
  return out;
}

}  // namespace

std::string to_base64(std::string_view in) {
  std::string out((in.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL ends it with a zero
  const auto* from = reinterpret_cast<const unsigned char*>(in.data());
  const int bytes = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), from, static_cast<int>(in.size()));
  out.resize(static_cast<size_t>(bytes));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string out(text.size() / 4 * 3, '\0');
  const auto* from = reinterpret_cast<const unsigned char*>(text.data());
  const int bytes = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()), from, static_cast<int>(text.size()));
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  if (bytes < static_cast<int>(padding)) return std::nullopt;
  out.resize(static_cast<size_t>(bytes) - padding);
  // OpenSSL takes more than there is to take: spaces around, padding in the middle, bits behind the end.
  return to_base64(out) == text ? std::optional(std::move(out)) : std::nullopt;
}

std::string end_of(std::string prefix) {
  prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  return prefix;
}

// --- Requests ---

Request range_of(const std::string& prefix) {
  return {"/v3/kv/range", json{{"key", to_base64(prefix)}, {"range_end", to_base64(end_of(prefix))}}.dump()};
}

Request get(const std::string& key) {
  return {"/v3/kv/range", json{{"key", to_base64(key)}}.dump()};
}

Request put(const std::string& key, std::string_view value, int64_t lease) {
  return {"/v3/kv/put", put_json(key, value, lease).dump()};
}

Request grant(int64_t ttl_s) {
  return {"/v3/lease/grant", json{{"TTL", std::to_string(ttl_s)}}.dump()};
}

Request keep_alive(int64_t lease) {
  return {"/v3/lease/keepalive", json{{"ID", std::to_string(lease)}}.dump()};
}

Request compare_and_swap(const std::vector<Swap>& swaps) {
  json compare = json::array(), success = json::array();
  for (const Swap& each : swaps) {
    const std::string key = to_base64(each.key);
    compare.push_back({{"key", key}, {"target", "MOD"}, {"mod_revision", std::to_string(each.revision)}});
    if (each.value) {
      json put{{"key", key}, {"value", to_base64(*each.value)}};
      if (each.lease != 0) put["lease"] = std::to_string(each.lease);
      success.push_back({{"request_put", std::move(put)}});
    } else {
      success.push_back({{"request_delete_range", {{"key", key}}}});
    }
  }
  return {"/v3/kv/txn", json{{"compare", std::move(compare)}, {"success", std::move(success)}}.dump()};
}

Request watch(const std::string& prefix, int64_t from) {
  const json create{
      {"key", to_base64(prefix)}, {"range_end", to_base64(end_of(prefix))}, {"start_revision", std::to_string(from)}};
  return {"/v3/watch", json{{"create_request", create}}.dump()};
}

// --- Answers ---

Answer<Listing> listing_from(std::string_view text) {
  return answer_from(text, [](const json& answer) {
    Listing out{position_of(answer), {}};
    if (out.at.cluster == 0 || out.at.revision <= 0) throw Unreadable("it does not say of which cluster it is");
    for (const json& each : list_in(answer, "kvs")) {
      if (!each.is_object()) throw Unreadable("a key of it is no object");
      out.records.push_back({bytes(each, "key"), bytes(each, "value"), number<int64_t>(each, "lease"),
                             number<int64_t>(each, "mod_revision")});
    }
    std::ranges::sort(out.records, {}, &Record::key);
    return out;
  });
}

Answer<int64_t> granted_from(std::string_view text) {
  return answer_from(text, [](const json& answer) {
    const auto lease = number<int64_t>(answer, "ID");
    if (lease == 0) throw Unreadable("it names no lease");
    return lease;
  });
}

Answer<bool> kept_from(std::string_view text) {
  return answer_from(text, [](const json& answer) { return number<int64_t>(result_of(answer), "TTL") > 0; });
}

Answer<bool> swapped_from(std::string_view text) {
  return answer_from(text, [](const json& answer) {
    if (position_of(answer).revision <= 0) throw Unreadable("it does not say of when it is");
    const auto succeeded = answer.find("succeeded");
    return succeeded != answer.end() && *succeeded == json(true);
  });
}

Refusal refusal_from(unsigned status, std::string_view text) {
  return refusal_of(status, json::parse(text, nullptr, false));
}

Answer<std::vector<WatchMessage>> WatchReader::take(std::string_view more) {
  rest_ += more;
  std::vector<WatchMessage> out;
  try {
    size_t begin = 0;
    for (size_t end = 0; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const auto line = std::string_view(rest_).substr(begin, end - begin);
      if (!line.empty()) out.push_back(message_from(line));
    }
    rest_.erase(0, begin);
  } catch (const Unreadable& fault) {
    return std::unexpected(fmt::format("a watch: {}", fault.what()));
  }
  if (rest_.size() > kMostBytes) return std::unexpected("a watch: a message without an end");
  return out;
}

}  // namespace sluice::control::etcd
