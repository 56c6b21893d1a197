// Handlers as the official Node runtime client runs them: buffered and streamed.
const { existsSync } = require("fs");
const { setTimeout: wait } = require("timers/promises");

exports.buffered = async (event, context) => ({
  statusCode: 200,
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ path: event.path, echo: event.body, id: context.awsRequestId }),
});

exports.streamed = awslambda.streamifyResponse(async (event, stream, context) => {
  const answer = awslambda.HttpResponseStream.from(stream, {
    statusCode: 202,
    headers: { "Content-Type": "text/plain; charset=utf-8", "X-Piece": "yes" },
    cookies: ["a=1"],
  });
  const folder = (event.queryStringParameters || {}).folder;
  for (const [number, piece] of ["日", "本", "👩‍🍳", "語"].entries()) {
    while (folder && !existsSync(`${folder}/${number}`)) await wait(5);
    answer.write(piece);
  }
  if (event.path === "/break") throw new Error("as asked");
  answer.end();
  await answer.finished?.();
});
