// Foreign text: what a terminal would act on is shown as bytes, all else as it is.
#include "leat/base/printable.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

TEST(Printable, PlainTextStays) {
  for (const char* text : {"", "a b", "C:\\x", "\"q\"", "Käse", "猫", "\U0001F408", "❤\uFE0F"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, ControlsBecomeBytes) {
  EXPECT_EQ(printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(printable("one\ntwo\r\t\x7f"), "one\\x0atwo\\x0d\\x09\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\u009b2J"), "\\xc2\\x9b2J") << "CSI in one character";
  EXPECT_EQ(printable("\u202egnp.exe"), "\\xe2\\x80\\xaegnp.exe") << "right-to-left override";
  for (const char* text : {"\u2066", "\u2028", "\u200b", "\u061c", "\ufeff", "\u3164", "\U000E0041",
                           "\u00ad", "\u180e"}) {
    EXPECT_EQ(printable(text)[0], '\\');
  }
}

TEST(Printable, BytesThatAreNoUtf8) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\x9b"), "\\x9b") << "a terminal of 8 bits takes it for CSI";
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(printable("\xe0\x80\x8a"), "\\xe0\\x80\\x8a") << "overlong line end";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond the last";
  EXPECT_EQ(printable("\xe2\x80"), "\\xe2\\x80") << "cut off";
  EXPECT_EQ(printable("\xe2"
                      "a"),
            "\\xe2"
            "a")
      << "the next character is not swallowed";
}

TEST(Printable, EveryByteAndPairIsHarmless) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string pair = {static_cast<char>(first), static_cast<char>(second)};
      for (const char c : printable(pair)) {
        EXPECT_TRUE((c & 0x80) != 0 || (c >= ' ' && c != 0x7f)) << first << " " << second;
      }
    }
  }
}

TEST(Printable, LongTextEnds) {
  EXPECT_EQ(printable(std::string(100, 'a'), 10), std::string(10, 'a') + "...");
  EXPECT_EQ(printable(std::string(10, 'a'), 10), std::string(10, 'a'));
  EXPECT_LE(printable(std::string(1 << 20, '\x1b')).size(), kPrintableBytesMax + 8);
}

TEST(Printable, LinesKeepTheirEnds) { EXPECT_EQ(printable_lines("a\n\x1b\n"), "a\n\\x1b\n"); }

TEST(Printable, QuotedCanBeReadBack) {
  EXPECT_EQ(quoted("a\"b\\c\n\u202e"), "\"a\\\"b\\\\c\\x0a\\xe2\\x80\\xae\"");
}

}  // namespace
}  // namespace leat
