// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/session_writer.h"

#include <utility>

#include "dataplane/contract/placement.h"

namespace sluice::control {

SessionWriter::SessionWriter(std::string node, Tell tell)
    : style_{.node = std::move(node)},
      tell_(std::move(tell)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

SessionWriter::~SessionWriter() {
  thread_.request_stop();
  thread_.join();
}

void SessionWriter::follow(const config::Records& config) {
  put({.config = config});
}

void SessionWriter::reopen() {
  put({.reopen = true});
}

void SessionWriter::write(std::shared_ptr<const SessionBatch> batch) {
  put({.batch = std::move(batch)});
}

void SessionWriter::put(Work work) {
  const size_t records = work.batch == nullptr ? 0 : work.batch->sessions.size();
  {
    const std::scoped_lock lock(mutex_);
    if (waiting_ + records > kMostWaiting && records != 0) {
      overrun_ += records;
      return;
    }
    waiting_ += records;
    work_.push_back(std::move(work));
  }
  due_.notify_one();
}

SessionWriter::Figures SessionWriter::figures() const {
  return {.written = written_, .lost = lost_, .overrun = overrun_, .sampled_out = sampled_out_, .failing = failing_};
}

void SessionWriter::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (due_.wait(lock, stop, [&] { return !work_.empty(); }) || !work_.empty()) {
    const Work work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    do_work(work);
    lock.lock();
    waiting_ -= work.batch == nullptr ? 0 : work.batch->sessions.size();
  }
}

void SessionWriter::do_work(const Work& work) {
  if (work.config) {
    style_.share = work.config->share;
    output_ = make_output(*work.config);
    told_ = failing_ = false;
    lost_since_ = 0;
  }
  if (work.reopen && output_ != nullptr) output_->reopen();
  if (work.batch != nullptr && output_ != nullptr) write_batch(*work.batch);
}

bool SessionWriter::is_wanted(const channel::SessionRecord& record) const {
  if (style_.share >= 1 || went_wrong(record)) return true;
  const uint64_t hash = hash_endpoint(record.client, record.ended_ms);
  return static_cast<double>(hash >> 11) * 0x1p-53 < style_.share;
}

void SessionWriter::write_batch(const SessionBatch& batch) {
  style_.wall_offset_ms = batch.wall_offset_ms;
  wanted_.clear();
  for (const KnownSession& session : batch.sessions) {
    if (is_wanted(session.record)) wanted_.push_back(&session);
  }
  sampled_out_ += batch.sessions.size() - wanted_.size();
  if (wanted_.empty()) return;
  const Written done = output_->write(wanted_, style_);
  written_ += done.records;
  lost_ += done.lost;
  lost_since_ += done.lost;
  const bool failing = !done.fault.empty();
  failing_ = failing;
  if (failing == told_) return;
  told_ = failing;
  tell_(done.fault, std::exchange(lost_since_, failing ? lost_since_ : 0));
}

}  // namespace sluice::control
