// SPDX-License-Identifier: Apache-2.0
//
// Includes, comments, brackets, strings and wide integers: what the scanner does before libconfig reads.
#include "config/file/source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "config/load.h"
#include "tests/config/file.h"

namespace sluice::config {
namespace {

class SourceText : public ::testing::Test {
 protected:
  // The text that libconfig gets for `text`.
  std::string scanned(std::string_view text) {
    const auto source = Source::read(directory_.write("test.cfg", text));
    return source ? source->text() : "refused: " + source.error().at(0).message;
  }

  static std::string scanned_file(const std::string& path) {
    const auto source = Source::read(path);
    return source ? source->text() : "refused: " + source.error().at(0).message;
  }

  // "FILE:LINE: MESSAGE" of all faults, with the directory left out.
  std::vector<std::string> faults(std::string_view text) {
    const auto config = load(directory_.write("test.cfg", text));
    std::vector<std::string> out;
    if (config) return out;
    for (const Fault& fault : config.error()) {
      std::string shown = fault.to_string();
      for (size_t at; (at = shown.find(directory_.path(""))) != std::string::npos;)
        shown.erase(at, directory_.path("").size());
      out.push_back(shown);
    }
    return out;
  }

  // The first fault.
  std::string fault(std::string_view text) {
    const auto all = faults(text);
    return all.empty() ? "" : all.front();
  }

  Directory directory_;
};

TEST_F(SourceText, LosesCommentsButKeepsLines) {
  EXPECT_EQ(scanned("a = 1; // one\nb = 2; # two\n/* c = 3;\n*/ d = 4;\n"), "a = 1; \nb = 2; \n \n d = 4;\n");
  EXPECT_EQ(scanned("a = \"// # /* @include\";\n"), "a = \"// # /* @include\";\n");
  EXPECT_EQ(scanned("a = \"\\\\\\\"//\\\\\"; // x\n"), "a = \"\\\\\\\"//\\\\\"; \n");
  EXPECT_EQ(scanned("\xef\xbb\xbf"
                    "a = 1;\r\n"),
            "a = 1;\r\n");
}

TEST_F(SourceText, MarksWideIntegers) {
  EXPECT_EQ(scanned("a = 2147483647;"), "a = 2147483647;");
  EXPECT_EQ(scanned("a = 2147483648;"), "a = 2147483648L;");
  EXPECT_EQ(scanned("a = -2147483648;"), "a = -2147483648;");
  EXPECT_EQ(scanned("a = -2147483649;"), "a = -2147483649L;");
  EXPECT_EQ(scanned("a = 0x7fffffff;"), "a = 0x7fffffff;");
  EXPECT_EQ(scanned("a = 0xFFFFFFFF;"), "a = 4294967295L;");
  EXPECT_EQ(scanned("a = 99999999999999999999;"), "a = 9223372036854775807L;");
  EXPECT_EQ(scanned("a = 4294967296L;"), "a = 4294967296L;");
  EXPECT_EQ(scanned("a = .99999999999;"), "a = .99999999999;");
  EXPECT_EQ(scanned("a = 1e10; b = 99999999999.5; c_9999999999 = 1;"),
            "a = 1e10; b = 99999999999.5; c_9999999999 = 1;");
}

TEST_F(SourceText, RenamesWhatStandsTwiceInOneGroupOnly) {
  EXPECT_EQ(scanned("a = 1; g: { a = 2; }; l = ( { a = 3; }, { a = 4; } );"),
            "a = 1; g: { a = 2; }; l = ( { a = 3; }, { a = 4; } );");
  EXPECT_EQ(scanned("a = 1; a = 2;"), "a = 1; a*8 = 2;");
}

TEST_F(SourceText, SaysWhatDoesNotClose) {
  EXPECT_EQ(fault("a = 1;\nb: {\n c = ( 1,\n"), "test.cfg:2: '{' opened here is never closed; close it");
  EXPECT_EQ(fault("b: {\n c = ( 1;\n};\n"),
            "test.cfg:3: '}' stands here, but the '(' of line 2 is still open; close that first");
  EXPECT_EQ(fault("a = 1;\n};\n"), "test.cfg:2: '}' closes nothing; remove it");
  EXPECT_EQ(fault("a = 1;\n/* b\n\n"), "test.cfg:2: comment opened here is never closed; allowed: /* ... */");
  EXPECT_EQ(fault("a = \"x;\nb = 1;\n"), "test.cfg:1: string is not closed on its line; allowed: \"TEXT\"");
  EXPECT_EQ(fault("a = \"x\\"), "test.cfg:1: string is not closed on its line; allowed: \"TEXT\"");
  EXPECT_EQ(fault(std::string(70, '(')), "test.cfg:1: brackets are nested too deeply; allowed: 64 levels");
}

TEST_F(SourceText, SaysWhereTheSyntaxIsWrong) {
  EXPECT_TRUE(
      fault("instance = \"a\";\nworkers 1;\n").starts_with("test.cfg:2: syntax error here or just before; allowed: "));
  EXPECT_TRUE(fault("pools = ( { name = \"a\"; }, );\n").starts_with("test.cfg:1: syntax error"));
  EXPECT_EQ(fault("instance \"a\";\n"),
            "test.cfg:1: text stands here, but is no value; allowed: NAME = \"TEXT\"; or in a list, after '(' or ','");
  EXPECT_TRUE(fault("instance = \"a\",\n\"b\";\n").starts_with("test.cfg:2: text stands here, but is no value;"));
  EXPECT_EQ(fault("\n\nx = [ 1, \"a\" ];"), "test.cfg:3: an array holds values of one type; allowed: all of one type");
  EXPECT_EQ(fault(std::string_view("a = 1;\nb = \0;\n", 14)), "test.cfg:2: byte 0x00 is not text; allowed: UTF-8 text");
  EXPECT_EQ(fault("a = \"\x01\";"), "test.cfg:1: byte 0x01 is not text; allowed: UTF-8 text");
}

TEST_F(SourceText, IncludesRelativeToTheIncludingFile) {
  std::filesystem::create_directories(directory_.path("site"));
  directory_.write("site/pools.cfg", "# pools\n@include \"backends.cfg\"\nbrust = 1;");
  directory_.write("site/backends.cfg",
                   "pools = ( { name = \"mta\";\n backends = ( { name = \"a\"; address = \"x\"; } ); } );\n");
  const auto found = faults(
      "instance = \"a b\";\n"
      "  @include \"site/pools.cfg\" // not yet\n"
      "services = ( { name = \"s\"; vip = \"192.0.2.25\"; pool = \"web\"; } );\n"
      "dataplane: {\n ports = ( { name = \"w\"; device = \"net_tap0\"; } ); };\n");
  ASSERT_EQ(found.size(), 4U) << ::testing::PrintToString(found);
  EXPECT_TRUE(found[0].starts_with("test.cfg:1: instance: \"a b\""));
  EXPECT_TRUE(found[1].starts_with("site/backends.cfg:2: pools[0].backends[0].address: \"x\" is not"));
  EXPECT_TRUE(found[2].starts_with("site/pools.cfg:3: brust: unknown setting"));
  EXPECT_TRUE(found[3].starts_with("test.cfg:3: services[0].pool: there is no pool \"web\""));
}

TEST_F(SourceText, NamesTheOtherFileOfWhatStandsTwice) {
  directory_.write("more.cfg", "\ninstance = \"b\";\n");
  EXPECT_THAT(
      faults("instance = \"a\";\n@include \"more.cfg\"\n"),
      ::testing::Contains("more.cfg:2: \"instance\" stands twice in its group, first on test.cfg:1; allowed: once"));
}

TEST_F(SourceText, RefusesIncludesThatCannotBe) {
  const std::string relative = "; allowed: the name of a file, relative to the directory of this one";
  EXPECT_EQ(fault("\n@include \"gone.cfg\"\n"),
            "test.cfg:2: @include \"gone.cfg\": gone.cfg cannot be read: No such file or directory" + relative);
  std::filesystem::create_directories(directory_.path("site"));
  EXPECT_EQ(fault("@include \"site\"\n"),
            "test.cfg:1: @include \"site\": site cannot be read: Is a directory" + relative);
  EXPECT_EQ(fault("@include \"test.cfg\"\n"), "test.cfg:1: @include \"test.cfg\": the file includes itself");
  EXPECT_EQ(fault("@include test.cfg\n"), "test.cfg:1: @include needs the name of a file; allowed: @include \"FILE\"");
  EXPECT_EQ(fault("@include \"test.cfg\n"),
            "test.cfg:1: @include needs the name of a file; allowed: @include \"FILE\"");
  for (int i = 0; i < 12; i++)
    directory_.write("f" + std::to_string(i), "@include \"f" + std::to_string(i + 1) + "\"\n");
  EXPECT_TRUE(fault("@include \"f0\"\n").ends_with("includes are nested too deeply; allowed: 10 levels"));
  directory_.write("empty", "");
  std::string many;
  for (int i = 0; i < 300; i++) many += "@include \"empty\"\n";
  EXPECT_EQ(fault(many), "test.cfg:257: @include \"empty\": too many includes; allowed: 256 in all");
}

TEST_F(SourceText, ShowsNoControlCharactersOfAFile) {
  EXPECT_THAT(faults("@include \"a\x1b[2Jb\x07\"\n"), testing::Contains(testing::HasSubstr("\"a?[2Jb?\"")));
}

TEST_F(SourceText, RefusesWhatIsNoRegularFileWithoutWaitingForIt) {
  const std::string pipe = directory_.path("pipe.cfg");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(scanned_file(pipe),
            "refused: cannot be read: not a regular file; allowed: the path of a readable "
            "configuration file of at most 16 MiB");
  EXPECT_THAT(fault("@include \"pipe.cfg\"\n"), ::testing::HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace sluice::config
