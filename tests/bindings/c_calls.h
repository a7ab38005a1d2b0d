/* The cases of c_calls.c, which is C99, for the program that counts them, which is not. */
#ifndef LEAT_TESTS_C_CALLS_H
#define LEAT_TESTS_C_CALLS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct c_case {
  const char* name;
  void (*run)(void);
} c_case;

/* Ends with a case whose name is null. */
extern const c_case c_cases[];

/* Told of each expectation that does not hold. */
void c_expectation_failed(const char* file, int line, const char* text, const char* message);

#ifdef __cplusplus
}
#endif
#endif
