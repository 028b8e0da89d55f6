import type { ImagePeers, Images, ImageView } from '../../../../protocol/index.ts'
import type { Fleet } from '../fleet.ts'
import { bytesOf, plural, short } from '../format.ts'
import { useAnswer } from '../live.ts'
import { Answered, Progress, Section } from '../parts.tsx'
import { imageLink, memberLink } from '../route.ts'

/** The images that this daemon has or fetches, and how many members run each. */
export function ImagesView({ fleet }: { fleet: Fleet }) {
  const answer = useAnswer<Images>('v1/images', 2_000)
  return (
    <>
      <h1>Images</h1>
      <Answered answer={answer}>
        {({ images }) =>
          images.length === 0 ? (
            <p class="quiet">
              This daemon has none. <code>fleetctl image build</code> makes one.
            </p>
          ) : (
            <ul class="cards">
              {images.map(image => (
                <li class="card" key={image.digest}>
                  <div class="between">
                    <a href={imageLink(image.digest)}>
                      <b>
                        {image.name}:{image.version}
                      </b>
                    </a>
                    <code>{short(image.digest)}</code>
                  </div>
                  <Held image={image} />
                  <p class="quiet">
                    {image.kind} · {bytesOf(image.size)} · {image.endorsed ? 'signed by a publisher' : 'not signed'} ·
                    run by {plural(runBy(fleet, image.digest), 'member')}
                  </p>
                </li>
              ))}
            </ul>
          )
        }
      </Answered>
    </>
  )
}

function Held({ image }: { image: ImageView }) {
  return (
    <>
      <Progress
        part={image.chunks === 0 ? 1 : image.held / image.chunks}
        label={`Chunks of ${image.name} that are here`}
      />
      <p class="quiet">
        {image.held} of {plural(image.chunks, 'chunk')} here
      </p>
    </>
  )
}

const runBy = (fleet: Fleet, digest: string): number => {
  let count = 0
  for (const { layers } of fleet.members.values()) if (layers.some(layer => layer.digest === digest)) count += 1
  return count
}

/** One image: what it is, and whom it came from and went to. */
export function Image({ fleet, digest }: { fleet: Fleet; digest: string }) {
  const images = useAnswer<Images>('v1/images', 2_000)
  const peers = useAnswer<ImagePeers>(`v1/images/${encodeURIComponent(digest)}/peers`, 2_000)
  const running = runBy(fleet, digest)
  const image = images.state === 'answered' ? images.value.images.find(each => each.digest === digest) : undefined
  return (
    <>
      <h1>{image === undefined ? short(digest) : `${image.name}:${image.version}`}</h1>
      <p>{running === 0 ? 'No member runs it' : `${plural(running, 'member')} run${running === 1 ? 's' : ''} it`}</p>
      <Answered answer={images}>
        {() =>
          image === undefined ? (
            <p class="quiet">This daemon has nothing of it.</p>
          ) : (
            <>
              <Held image={image} />
              <dl>
                <dt>Digest</dt>
                <dd>
                  <code>{image.digest}</code>
                </dd>
                <dt>Kind, size</dt>
                <dd>
                  {image.kind}, {bytesOf(image.size)}
                </dd>
                <dt>Signed</dt>
                <dd>{image.endorsed ? 'by a publisher' : 'no'}</dd>
              </dl>
            </>
          )
        }
      </Answered>
      <Section title="Passed on">
        <Answered answer={peers}>
          {({ peers }) =>
            peers.length === 0 ? (
              <p class="quiet">Nobody else offers it, and it has not been passed on here since this daemon started.</p>
            ) : (
              <table class="plain">
                <thead>
                  <tr>
                    <th scope="col">Peer</th>
                    <th scope="col" class="number">
                      Received
                    </th>
                    <th scope="col" class="number">
                      Sent
                    </th>
                    <th scope="col" />
                  </tr>
                </thead>
                <tbody>
                  {peers.map(({ node, name, bytes, sent, offers, banned }) => (
                    <tr key={node}>
                      <th scope="row">
                        <a href={memberLink(node)}>{name}</a>
                      </th>
                      <td class="number">{bytesOf(bytes)}</td>
                      <td class="number">{bytesOf(sent)}</td>
                      <td>
                        {banned ? <span class="problem">sent bad bytes, banned</span> : offers ? 'offers it' : ''}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )
          }
        </Answered>
      </Section>
    </>
  )
}
