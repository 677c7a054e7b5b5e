// SPDX-License-Identifier: Apache-2.0
//
// Traces and captures over the API. POST begins one, GET asks after it (and fetches a trace's records), DELETE ends it.
// One that is not asked after for a few seconds ends by itself. Reading is for those who may write only: it shows what
// clients do.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/flow_names.h"
#include "controlplane/api/inspection_request.h"
#include "controlplane/channel/published_ports.h"
#include "controlplane/http/query.h"
#include "controlplane/inspect/inspection_sessions.h"

namespace sluice::control {

using channel::TraceRecord;
using channel::TraceStage;
using nlohmann::json;
namespace http = boost::beast::http;

namespace {

constexpr size_t kRecordsAtATime = 2000;

using Refusal = std::unexpected<ApiResponse>;

Refusal refuse(http::status status, const std::string& text) {
  return Refusal(ApiResponse::error(status, text));
}

/// What a body asks for; the response that refuses it otherwise.
std::expected<InspectionWish, ApiResponse> wish_of(const ApiContext& context, const std::string& text,
                                                   bool is_capture) {
  const auto wanted = inspection_request_from(text, is_capture);
  if (!wanted) return refuse(http::status::bad_request, wanted.error());
  InspectionWish out;
  out.client = wanted->client;
  out.time = wanted->time;
  out.packets = wanted->packets;
  out.file_bytes = wanted->file_bytes;
  out.snap_bytes = wanted->snap_bytes;
  if (!wanted->service.empty()) {
    const auto id = service_id(context, wanted->service);
    if (!id) return refuse(http::status::not_found, id.error());
    out.service = *id;
  }
  if (!wanted->backend.empty()) {
    const auto ids = backend_ids(context, wanted->backend);
    if (!ids) return refuse(http::status::not_found, ids.error());
    for (const auto& [id, generation] : *ids) out.backends.push_back(id);
  }
  return out;
}

std::string flags_text(uint8_t flags) {
  static constexpr std::array<std::string_view, 8> kNames{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
  std::string out;
  for (size_t i = 0; i < kNames.size(); i++) {
    if ((flags >> i & 1) == 0) continue;
    out += (out.empty() ? "" : ",") + std::string(kNames[i]);
  }
  return out;
}

std::string port_name(const ApiContext& context, uint8_t index) {
  const ChannelMapping* mapping = context.channel.mapping();
  const auto ports = mapping == nullptr ? std::vector<PublishedPort>{} : published_ports(*mapping);
  return index < ports.size() ? ports[index].name : fmt::format("{}", index);
}

std::string_view stage_name(TraceStage stage) {
  switch (stage) {
    case TraceStage::kReceived:
      return "received";
    case TraceStage::kFound:
      return "found";
    case TraceStage::kPlaced:
      return "placed";
    case TraceStage::kNoFlow:
      return "no_flow";
    case TraceStage::kSent:
      return "sent";
    case TraceStage::kMade:
      return "made";
    case TraceStage::kCounted:
      return "counted";
  }
  return "unknown";
}

void add_frame(json& out, const ApiContext& context, const TraceRecord& record) {
  out["port"] = port_name(context, record.port);
  out["ip_bytes"] = record.frame.ip_bytes;
  if (record.detail == 0) {  // no TCP segment
    out["source"] = text_of(record.frame.source.address);
    out["destination"] = text_of(record.frame.destination.address);
    return;
  }
  out["source"] = text_of(record.frame.source);
  out["destination"] = text_of(record.frame.destination);
  out["flags"] = flags_text(record.detail);
  out["sequence"] = record.frame.sequence;
  out["ack"] = record.frame.ack;
  out["payload_bytes"] = record.frame.payload_bytes;
}

void add_flow(json& out, const ApiContext& context, const TracedBy& traced) {
  const channel::TracedFlow& flow = traced.record.flow;
  out["service"] = nullptr;
  out["backend"] = nullptr;
  if (const ServiceState* service = service_of(context, traced.worker, flow.service)) {
    out["service"] = service->config.name;
  }
  const ChannelMapping* mapping = context.channel.mapping();
  if (mapping != nullptr && flow.backend < channel::kMaxBackends) {
    const uint16_t generation = mapping->worker_stats(traced.worker).backend_ids[flow.backend].generation;
    if (const Member* member = member_of(context, traced.worker, flow.backend, generation)) {
      out["backend"] = member->pool + "/" + member->name;
    }
  }
  out["flow"] = flow.index;
  out["age_ms"] = flow.age_ms;
  out["state"] = name_of(flow.state);
  out["smtp_phase"] = name_of(flow.smtp_phase);
  if (traced.record.stage == TraceStage::kPlaced) {
    out["rule"] = words_for(static_cast<channel::PlacedBy>(traced.record.detail));
  }
}

json record_json(const ApiContext& context, const TracedBy& traced) {
  const TraceRecord& record = traced.record;
  json out{{"worker", traced.worker},
           {"packet", record.packet},
           {"time_ns", record.time_ns},
           {"stage", stage_name(record.stage)}};
  switch (record.stage) {
    case TraceStage::kReceived:
    case TraceStage::kSent:
    case TraceStage::kMade:
      add_frame(out, context, record);
      break;
    case TraceStage::kFound:
    case TraceStage::kPlaced:
      add_flow(out, context, traced);
      break;
    case TraceStage::kCounted:
      if (record.counter < channel::kCounterCount) {
        out["counter"] = channel::kCounterInfo[record.counter].name;
        out["meaning"] = channel::kCounterInfo[record.counter].help;
      }
      break;
    case TraceStage::kNoFlow:
      break;
  }
  return out;
}

json session_json(const InspectionSession& session) {
  static constexpr std::array<std::string_view, 3> kStates{"starting", "running", "ended"};
  json out{{"id", session.id},           {"state", kStates[static_cast<size_t>(session.state)]},
           {"reason", session.reason},   {"packets", session.packets},
           {"skipped", session.skipped}, {"lost", session.lost}};
  if (session.is_capture) {
    out["path"] = session.path;
    out["written_packets"] = session.written_packets;
    out["written_bytes"] = session.written_bytes;
  }
  return out;
}

/// The session that a path names, if it is of that kind.
std::expected<InspectionSession*, ApiResponse> session_of(InspectionSessions* inspections, const ApiRequest& request,
                                                          bool is_capture) {
  const std::string& text = request.parameters[0];
  uint64_t id = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  InspectionSession* session = whole && inspections != nullptr ? inspections->find(id) : nullptr;
  if (session != nullptr && session->is_capture == is_capture) return session;
  return refuse(http::status::not_found, fmt::format("there is no {} {}", is_capture ? "capture" : "trace", text));
}

ApiResponse begin(const ApiContext& context, const ApiRequest& request, bool is_capture) {
  if (context.inspections == nullptr)
    return ApiResponse::error(http::status::service_unavailable, "nothing can be inspected here");
  auto wish = wish_of(context, request.body, is_capture);
  if (!wish) return wish.error();
  InspectionSessions& inspections = *context.inspections;
  const auto id = is_capture ? inspections.start_capture(std::move(*wish)) : inspections.start_trace(std::move(*wish));
  if (!id) return ApiResponse::error(http::status::conflict, id.error());
  ApiResponse out = ApiResponse::json(session_json(*inspections.find(*id)));
  out.status = http::status::created;
  return out;
}

/// A trace with those of its records that have numbers from `after` on.
ApiResponse trace(const ApiContext& context, const ApiRequest& request) {
  const auto session = session_of(context.inspections, request, false);
  if (!session) return session.error();
  const auto query = Query::parse(request.query, {"after"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const auto after = query->number("after", 0, {});
  if (!after) return ApiResponse::error(http::status::bad_request, after.error());
  InspectionSession& found = **session;
  while (!found.records.empty() && found.first < *after) {  // fetched before
    found.records.pop_front();
    found.first++;
  }
  json out = session_json(found);
  out["records"] = json::array();
  for (size_t i = 0; i < found.records.size() && i < kRecordsAtATime; i++) {
    out["records"].push_back(record_json(context, found.records[i]));
  }
  out["next"] = found.first + out["records"].size();
  return ApiResponse::json(out);
}

ApiResponse end(const ApiContext& context, const ApiRequest& request, bool is_capture) {
  const auto session = session_of(context.inspections, request, is_capture);
  if (!session) return session.error();
  context.inspections->stop((*session)->id);
  return ApiResponse::json(session_json(**session));
}

}  // namespace

void add_inspection_routes(Router& router, const ApiContext& context) {
  for (const bool is_capture : {false, true}) {
    const std::string path = is_capture ? "/api/v1/captures" : "/api/v1/traces";
    router.add(http::verb::post, path,
               [&context, is_capture](const ApiRequest& request) { return begin(context, request, is_capture); });
    router.add(http::verb::delete_, path + "/{}",
               [&context, is_capture](const ApiRequest& request) { return end(context, request, is_capture); });
  }
  router.add_confidential("/api/v1/traces/{}", [&context](const ApiRequest& request, const Reply& reply) {
    reply(trace(context, request));
  });
  router.add_confidential("/api/v1/captures/{}", [&context](const ApiRequest& request, const Reply& reply) {
    const auto session = session_of(context.inspections, request, true);
    reply(session ? ApiResponse::json(session_json(**session)) : session.error());
  });
}

}  // namespace sluice::control
